"""Time of a whole run over many short movies, with the networks of the demo.

    make demo bench-short
    .venv/bin/python tests/benchmarks/short_movies.py --movies 100 --frames 20 --size 64
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from demo_networks import OPTICS, run, write_analysis

from defocus3d.camera import Camera
from defocus3d.psf import PSF
from defocus3d.water import stokes_einstein

BEADS, DEPTH_UM = 8, 3.0  # in each movie, half of them within the axial range; they start no farther from focus
PHOTONS, BACKGROUND = 6000.0, 20.0
DIAMETER_UM, TEMPERATURE_C, INTERVAL_S = 0.5, 25.0, 0.02  # as the sheet of `write_acquisitions` has them


def draw_movies(movies: int, frames: int, size: int) -> dict[str, np.ndarray]:
    """Movies of beads that diffuse, counts (frames, size, size) by name."""
    psf, camera, drawn = PSF.load(OPTICS / "psf.npz"), Camera(), {}
    step_um = np.sqrt(2 * stokes_einstein(DIAMETER_UM, TEMPERATURE_C, None)[0] * INTERVAL_S)
    low, high = psf.z_range_um
    for k in range(movies):
        rng = np.random.default_rng([1, k])
        start = rng.uniform([0, 0, -DEPTH_UM], [size * psf.pixel_size_um] * 2 + [DEPTH_UM], (BEADS, 3))
        paths = start + np.cumsum(rng.normal(0, step_um, (frames, BEADS, 3)), axis=0)
        images = []
        for x, y, z in paths.transpose(0, 2, 1):
            near = (z > low) & (z < high)
            images.append(BACKGROUND + psf.image(x[near], y[near], z[near], (size, size), PHOTONS))
        drawn[f"short_{k}"] = camera.to_counts(camera.detect(np.stack(images).astype(np.float32), rng))
    return drawn


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--movies", type=int, default=100)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--search", choices=["quick", "thorough"], default="quick")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_analysis(Path(folder), draw_movies(given.movies, given.frames, given.size), given.search)
        start = time.perf_counter()
        run(Path(folder), given.cores, "all")
        taken, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        verdicts = pd.read_csv(Path(folder, "results", "summary.csv"))["verdict"].value_counts()
    processor = used.ru_utime + used.ru_stime
    print(f"{given.movies} movies of {given.frames} frames of {given.size} × {given.size}, {given.search} search: {taken:.0f} s, "
          f"{taken / given.movies:.2f} s a movie; processor {processor / given.movies:.2f} s a movie")  # fmt: skip
    print(", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))


if __name__ == "__main__":
    main()
