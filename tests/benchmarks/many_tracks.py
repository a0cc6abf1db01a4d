"""Time and memory of linking a million localizations and checking their motion.

    make bench-tracks
    .venv/bin/python tests/benchmarks/many_tracks.py --localizations 1000000
"""

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow"))

from defocus3d import linking, search_range
from defocus3d.diffusion import Experiment, brownian_check, expected_um2_s

FIELD_UM, RANGE_UM, DEPTH_UM, BEADS = 50.0, (-1.5, 1.5), 3.0, 200
WATER = {"frame_interval_s": 0.02, "exposure_s": 0.0, "bead_diameter_um": 0.5, "temperature_c": 25.0, "viscosity_pa_s": None,
         "temperature_sd_c": 0.5, "bead_diameter_cv": 0.03, "axial_scale": 1.0}  # fmt: skip
ERROR_UM = np.array([0.015, 0.015, 0.04])


def cloud(count: int, diffusion: float) -> pd.DataFrame:
    """About `count` localizations of free beads that go around in a box deeper than the axial range."""
    rng, box = np.random.default_rng(1), np.array([FIELD_UM, FIELD_UM, 2 * DEPTH_UM])
    place, parts = rng.uniform(0, 1, (BEADS, 3)) * box, []
    per_frame = BEADS * (RANGE_UM[1] - RANGE_UM[0]) / box[2]
    for frame in range(round(count / per_frame)):
        place = (place + rng.normal(0, np.sqrt(2 * diffusion * WATER["frame_interval_s"]), place.shape)) % box
        seen = place - [0, 0, DEPTH_UM]
        seen = seen[(seen[:, 2] > RANGE_UM[0]) & (seen[:, 2] < RANGE_UM[1])]
        parts.append(np.column_stack([np.full(len(seen), frame), seen + ERROR_UM * rng.standard_normal(seen.shape)]))
    table = pd.DataFrame(np.concatenate(parts), columns=["frame", "x_um", "y_um", "z_um"]).astype({"frame": int})
    return table.assign(**{f"sigma_{a}_um": e for a, e in zip("xyz", ERROR_UM)}, flag=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--localizations", type=int, default=1_000_000)
    table = cloud(parser.parse_args().localizations, expected_um2_s(WATER)[0])
    info = {"shape": (500, 500), "pixel_size_um": 0.1, "axial_range_um": RANGE_UM}
    start = time.perf_counter()
    range_um = search_range.resolve_range_um("auto", table, expected_um2_s(WATER)[0], WATER["frame_interval_s"])
    tracks = linking.link_tracks(table, range_um, 1, 5)
    linked = time.perf_counter() - start
    _, result = brownian_check(tracks, table, Experiment.of(WATER, info))
    taken = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{len(table)} localizations: linked in {linked:.0f} s, checked in {taken - linked:.0f} s, together {taken:.0f} s; peak {peak:.0f} MB")
    print(f"D {result['D_um2_s']['xyz']['value']:.4f}, expected {expected_um2_s(WATER)[0]:.4f} µm²/s: {result['verdict']}")


if __name__ == "__main__":
    main()
