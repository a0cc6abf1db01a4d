"""A tiny analysis, and running the workflow on it by Snakemake itself."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
import yaml

ROOT = Path(__file__).parents[2]
CONFIG = {
    "bead_stacks": "config/bead_stacks.tsv",
    "acquisitions": "config/acquisitions.tsv",
    "axial_range_um": [-1.0, 1.0],
    "training": {
        "seed": 3,
        "scenes": 150,
        "scene_size_px": 64,
        "held_out_scenes": 30,
        "density_per_um2": [0.01, 0.1],
        "photons": [3000, 20000],
        "background_e": [10, 40],
        "fcn_steps": 250,
        "fcn_batch": 8,
        "cnn_steps": 150,
        "cnn_batch": 16,
    },
    "brownian": {"bootstrap": 50},
}


@dataclass(frozen=True)
class Workspace:
    """A copy of the workflow, and a folder to run it in."""

    tree: Path
    folder: Path

    def command(self, *arguments: str) -> list:
        cores = [] if "--unlock" in arguments else ["--cores", "2"]  # nobody thinks of them for that
        snakemake = [sys.executable, "-m", "snakemake", "--snakefile", self.tree / "Snakefile", "--directory", self.folder]
        return [*snakemake, *cores, *arguments]

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess:
        """The finished run, with stdout and stderr together in `stdout`."""
        return subprocess.run(
            self.command(*arguments),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, cwd=self.folder,
            env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip

    def run(self, *arguments: str) -> str:
        """The output of a run that must succeed."""
        finished = self.snakemake(*arguments)
        assert finished.returncode == 0, finished.stdout
        return finished.stdout

    def planned(self, *arguments: str) -> dict[str, int]:
        """The jobs that a run would do, as counts by rule; `all` left out."""
        table = self.run("--dry-run", *arguments).partition("Job stats:")[2].partition("\n\n")[0]
        jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
        return {rule: count for rule, count in jobs.items() if rule not in ("all", "total")}

    def result(self, path: str) -> Path:
        return self.folder / "results" / path


def copy_of_the_workflow(folder: Path) -> Path:
    """With what is compiled already: Numba takes a minute on a slow machine, and keeps it beside the source, by its time and size."""
    shutil.copy(ROOT / "Snakefile", folder)
    for part in ("workflow", "envs", "profiles"):
        shutil.copytree(ROOT / part, folder / part)
    return folder


def write_input(folder: Path) -> None:
    """A stack of nine beads, a movie of a few that diffuse, and a movie of none."""
    from defocus3d.camera import Camera
    from defocus3d.microscope import PIXEL_UM, Microscope

    class SmallMicroscope(Microscope):
        Z_REACH_UM = 2.5  # enough for these beads, and quick to compute
        R_REACH_UM = 8.0

    microscope, camera, rng = SmallMicroscope(), Camera(), np.random.default_rng(1)
    for part in ("config", "data"):
        (folder / part).mkdir(parents=True)

    def picture(x, y, z, shape):
        positions = np.stack(np.broadcast_arrays(x, y, z), axis=-1)[:, None, :]
        expected = 20 + microscope.expose(positions, np.full(len(positions), 10000.0), shape)
        return camera.to_counts(camera.detect(expected, rng))

    x, y = (grid.ravel() + rng.uniform(-0.5, 0.5, 9) for grid in np.meshgrid([5.0, 13.0, 21.0], [5.0, 13.0, 21.0]))
    stack = [picture(x, y, stage, (260, 260)) for stage in np.linspace(-1.6, 1.6, 33)]
    tifffile.imwrite(folder / "data" / "stack.tif", np.stack(stack), photometric="minisblack")
    pd.DataFrame(
        {"optics": ["water"], "path": "data/stack.tif", "pixel_size_um": PIXEL_UM, "z_step_um": 0.1, "bead_diameter_um": 0.5}
    ).to_csv(folder / "config" / "bead_stacks.tsv", sep="\t", index=False)

    steps = rng.normal(0, np.sqrt(2 * 0.98 * 0.02), (40, 4, 3))
    walks = np.cumsum(steps, axis=0) + rng.uniform([1, 1, -0.5], [5, 5, 0.5], (4, 3))
    walks[..., 2] = 0.8 - abs((walks[..., 2] + 0.8) % 3.2 - 1.6)  # between walls
    movies = {
        "swimming": [picture(*frame.T, (64, 64)) for frame in walks],
        "nobody": [camera.to_counts(camera.detect(np.full((64, 64), 20.0), rng)) for _ in range(12)],
    }
    for name, frames in movies.items():
        tifffile.imwrite(folder / "data" / f"{name}.tif", np.stack(frames), photometric="minisblack")
    write_acquisitions(folder, {name: f"data/{name}.tif" for name in movies})
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(CONFIG))


def write_acquisitions(folder: Path, movies: dict[str, str]) -> None:
    """Write the sheet with the given movies, files by name."""
    pd.DataFrame(
        {
            "acquisition": list(movies),
            "optics": "water",
            "path": list(movies.values()),
            "frame_interval_s": 0.02,
            "exposure_s": 0.01,
            "bead_diameter_um": 0.5,
            "temperature_c": 25,
        }
    ).to_csv(folder / "config" / "acquisitions.tsv", sep="\t", index=False)
