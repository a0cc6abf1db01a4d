"""Memory and speed of localizing a long movie, generated frame by frame, with the networks of the demo.

    make demo bench-large           # 2,000 frames of 512 × 512, networks alone
    .venv/bin/python tests/benchmarks/large_movie.py --frames 20000 --size 512 --refine none

Prints the memory (resident, MB) when a tenth of the frames is read and at the end, its peak, and frames per second.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow"))

from defocus3d import tables
from defocus3d.camera import Camera
from defocus3d.localization import Calibration, Localizer, localize_movie
from defocus3d.psf import PSF

OPTICS = ROOT / "results" / "optics" / "water_1p2"
DIFFERENT = 8  # frames that are rendered; the others are these again with fresh noise
PHOTONS, BACKGROUND = 6000.0, 20.0


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


class Generated:
    """A movie as `frames.Frames` gives it, of which nothing is stored but a few noise-free frames."""

    def __init__(self, count: int, size: int, beads: int, psf: PSF, camera: Camera):
        rng = np.random.default_rng(1)
        side, axial = (size - 1) * psf.pixel_size_um, psf.axial_range_um
        places = [(*rng.uniform(0, side, (2, beads)), rng.uniform(*axial, beads)) for _ in range(DIFFERENT)]
        self._clean = [BACKGROUND + psf.image(*place, (size, size), PHOTONS) for place in places]
        self._count, self._camera, self.shape, self.memory_mb = count, camera, (size, size), {}

    def __len__(self) -> int:
        return self._count

    def read(self, start: int, stop: int) -> np.ndarray:
        for mark in (self._count // 10, self._count):
            if start < mark <= stop:
                self.memory_mb[mark] = resident_mb()
        stop = min(stop, self._count)
        noisy = [self._camera.detect(self._clean[k % DIFFERENT].astype(np.float32), np.random.default_rng(k)) for k in range(start, stop)]
        return np.stack(noisy).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--size", type=int, default=512, help="pixels a side")
    parser.add_argument("--beads", type=int, default=50, help="beads in 256 × 256 pixels")
    parser.add_argument("--refine", choices=["mle", "none"], default="none")
    parser.add_argument("--search", choices=["quick", "thorough"], default="quick")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    camera = Camera.of({"offset_adu": 100, "gain_e_per_adu": 0.46, "read_noise_e": 1.6, "em_gain": 1})
    psf = PSF.load(OPTICS / "psf.npz")
    networks = Localizer.load_networks(OPTICS / "fcn.onnx", OPTICS / "cnn.onnx", given.threads)
    localizer = Localizer(*networks, psf, camera, Calibration.load(OPTICS / "calibration.json"), given.search)
    movie = Generated(given.frames, given.size, round(given.beads * given.size**2 / 256**2), psf, camera)
    localizer.locate(movie.read(0, 2), None, given.threads)  # compiles
    movie.memory_mb.clear()
    start = time.perf_counter()
    settings = {"refine": given.refine, "batch_frames": 16}
    with tempfile.TemporaryDirectory() as folder, tables.writing(f"{folder}/localizations.parquet", tables.LOCALIZATION_COLUMNS) as take:
        info = localize_movie(localizer, movie, {"axial_scale": 1.0}, settings, take, given.threads)
    taken = time.perf_counter() - start
    first, last = (movie.memory_mb[mark] for mark in sorted(movie.memory_mb))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{given.frames} frames of {given.size} × {given.size}, refine {given.refine}, search {given.search}, {info['n_localizations'] / given.frames:.0f} localizations a frame")
    print(f"memory {first:.0f} MB at a tenth, {last:.0f} MB at the end ({last / first:.3f}), peak {peak:.0f} MB")
    print(f"{given.frames / taken:.2f} frames/s, generating them included")


if __name__ == "__main__":
    main()
