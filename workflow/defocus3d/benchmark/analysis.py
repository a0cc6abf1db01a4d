"""The analysis of the simulated bead stacks, with its config and sheets, as a user would write them."""

import csv
import json
import shutil
from pathlib import Path

from defocus3d import files
from defocus3d.benchmark import sets

OPTICS = "simulated"
STACK_Z_UM = 4.4  # that a stack spans
PLANES = {"full": 89, "tiny": 45}
STACKS = {"full": ["a", "b"], "tiny": ["a"]}
STAGES = ("ingest_beads", "augment", "train_fcn", "train_cnn", "evaluate")  # in the order that they run
CONFIG = {
    "bead_stacks": "bead_stacks.tsv",
    "acquisitions": "acquisitions.tsv",
    "axial_range_um": list(sets.AXIAL_RANGE_UM),
    "training": {
        "preset": "quick",
        "density_per_um2": [0.01, 0.5],
        "photons": [500, 20000],
        "background_e": [10, 80],
    },
}
TINY = {
    **CONFIG,
    "beads": {"held_out_fraction": 0.0},
    "training": {
        "density_per_um2": [0.01, 0.1],
        "photons": [3000, 20000],
        "background_e": [10, 40],
        "scenes": 80,
        "scene_size_px": 64,
        "held_out_scenes": 16,
        "fcn_steps": 200,
        "fcn_batch": 8,
        "cnn_steps": 60,
        "cnn_batch": 16,
    },
}


def stacks(data: str, size: str) -> list[dict]:
    """Rows of the sheet of bead stacks, whose files are in the folder `data`."""
    step = STACK_Z_UM / (PLANES[size] - 1)
    return [{"optics": OPTICS, "path": f"{data}/beads_{name}.tif", "pixel_size_um": sets.PIXEL_UM, "z_step_um": step, "z_direction": 1,
             "bead_diameter_um": sets.BEAD_DIAMETER_UM} for name in STACKS[size]]  # fmt: skip


def imaging(exposure_s: float) -> dict:
    """What a row of the sheet of movies says of beads and exposure."""
    return {"frame_interval_s": sets.INTERVAL_S, "exposure_s": exposure_s, "bead_diameter_um": sets.BEAD_DIAMETER_UM,
            "temperature_c": sets.TEMPERATURE_C}  # fmt: skip


def write(folder: Path, data: str, size: str) -> dict:
    """The config, after writing the two sheets into `folder`, from where the movies and stacks are in `data`."""
    movies = [{"acquisition": name, "optics": OPTICS, "path": f"{data}/{name}.tif", **imaging(one.exposure_s)}
              for name, one in sets.ACCURACY.items() if one.moving]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("bead_stacks", stacks(data, size)), ("acquisitions", movies)):
        lines = ["\t".join(map(str, row)) for row in (rows[0], *(row.values() for row in rows))]
        files.write(folder / f"{name}.tsv", "\n".join(lines) + "\n")
    return CONFIG if size == "full" else TINY


def results(folder: Path, file: str) -> Path:
    """Where that analysis has a file of its optics."""
    return folder / "results" / "optics" / OPTICS / file


def collect(folder: Path, copies: list[str]) -> None:
    """Copy its results to `copies` (paths with the same file names), whole or not at all."""
    for copy in copies:
        with files.whole(copy) as aside:
            shutil.copyfile(results(folder, Path(copy).name), aside)


def seconds(folder: Path) -> str:
    """JSON: how long each stage took, as Snakemake measured it."""
    taken = {}
    for stage in STAGES:
        path = folder / "results" / "benchmarks" / "optics" / OPTICS / f"{stage}.tsv"
        if path.exists():
            with open(path, newline="") as file:
                taken[stage] = float(next(csv.DictReader(file, delimiter="\t"))["s"])
    return json.dumps(taken, indent=1)
