"""Time of a whole run over many short movies, with the networks of the demo.

    make demo bench-short
    .venv/bin/python tests/benchmarks/short_movies.py --movies 100 --frames 20 --size 64
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
import yaml

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests" / "workflow")]

from tiny_analysis import write_acquisitions

from defocus3d.camera import Camera
from defocus3d.psf import PSF
from defocus3d.water import stokes_einstein

OPTICS = ROOT / "results" / "optics" / "water_1p2"
BEADS, DEPTH_UM = 8, 3.0  # in each movie, half of them within the axial range; they start no farther from focus
PHOTONS, BACKGROUND = 6000.0, 20.0
DIAMETER_UM, TEMPERATURE_C, INTERVAL_S = 0.5, 25.0, 0.02  # as the sheet of `write_acquisitions` has them


def write_analysis(folder: Path, movies: int, frames: int, size: int, search: str) -> None:
    """Movies of beads that diffuse, and an analysis of them with the networks of the demo."""
    psf, camera, names = PSF.load(OPTICS / "psf.npz"), Camera(), [f"short_{k}" for k in range(movies)]
    step_um = np.sqrt(2 * stokes_einstein(DIAMETER_UM, TEMPERATURE_C, None)[0] * INTERVAL_S)
    low, high = psf.z_range_um
    for part in ("config", "data"):
        (folder / part).mkdir(parents=True)
    for k, name in enumerate(names):
        rng = np.random.default_rng([1, k])
        start = rng.uniform([0, 0, -DEPTH_UM], [size * psf.pixel_size_um] * 2 + [DEPTH_UM], (BEADS, 3))
        paths = start + np.cumsum(rng.normal(0, step_um, (frames, BEADS, 3)), axis=0)
        images = []
        for x, y, z in paths.transpose(0, 2, 1):
            near = (z > low) & (z < high)
            images.append(BACKGROUND + psf.image(x[near], y[near], z[near], (size, size), PHOTONS))
        counts = camera.to_counts(camera.detect(np.stack(images).astype(np.float32), rng))
        tifffile.imwrite(folder / "data" / f"{name}.tif", counts, photometric="minisblack")
    trained = {"optics": ["water"], "trained": str(OPTICS), "pixel_size_um": psf.pixel_size_um}
    pd.DataFrame(trained).to_csv(folder / "config" / "bead_stacks.tsv", sep="\t", index=False)
    write_acquisitions(folder, {name: f"data/{name}.tif" for name in names})
    config = {"bead_stacks": "config/bead_stacks.tsv", "acquisitions": "config/acquisitions.tsv", "axial_range_um": "auto"}
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(config | {"localization": {"search": search}}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--movies", type=int, default=100)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--search", choices=["quick", "thorough"], default="quick")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_analysis(Path(folder), given.movies, given.frames, given.size, given.search)
        start = time.perf_counter()
        command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder, "--cores", str(given.cores)]
        subprocess.run([*command, "--quiet", "all"], check=True)
        taken, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        verdicts = pd.read_csv(Path(folder, "results", "summary.csv"))["verdict"].value_counts()
    processor = used.ru_utime + used.ru_stime
    print(f"{given.movies} movies of {given.frames} frames of {given.size} × {given.size}, {given.search} search: {taken:.0f} s, "
          f"{taken / given.movies:.2f} s a movie; processor {processor / given.movies:.2f} s a movie")  # fmt: skip
    print(", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))


if __name__ == "__main__":
    main()
