"""Diffusion coefficients of simulated movies ten times as long as the demo's, so that chance hides less of what the method adds.

    make demo bench-brownian
    .venv/bin/python tests/benchmarks/long_brownian.py --scene dense --frames 2000 --seed 11
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from demo_networks import OPTICS, ROOT, run, write_analysis

sys.path.insert(0, str(ROOT / "tests" / "acceptance"))

from true_motion import AXES, measured_and_true

from defocus3d.camera import Camera
from defocus3d.evaluation import in_frame, jaccard
from defocus3d.microscope import PIXEL_UM, SCENES, Microscope, brownian_movie
from defocus3d.settings import load_analysis

SIDE_PX = 192  # as the demo's movies
SCORED_UM = 1.4  # from focus
Z = AXES.index("z")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scene", choices=list(SCENES), default="dense")
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=11, help="of the beads and the camera's noise")
    parser.add_argument("--search", choices=["quick", "thorough"], default="quick")
    parser.add_argument("--cores", type=int, default=2)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    movie, truth = brownian_movie(Microscope(), Camera(), SCENES[given.scene], rng, frames=given.frames, side=SIDE_PX)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = write_analysis(folder, {"long": movie}, given.search)
        run(folder, given.cores, "progress", "rules")
        results = folder / "results" / "acquisitions" / "long"
        acquisition = load_analysis(config, folder).acquisitions.loc["long"].to_dict()
        (measured, drawn), (true, drawn_true), (complete, _) = measured_and_true(results, truth, acquisition, SIDE_PX * PIXEL_UM)
        brownian = json.loads((results / "brownian.json").read_text())
        found = pd.read_parquet(results / "localizations.parquet")
        range_um = json.loads((OPTICS / "calibration.json").read_text())["axial_range_um"]
    beads = in_frame(truth, SIDE_PX * PIXEL_UM, PIXEL_UM)
    score = jaccard(beads, found[found["flag"] == 0], range_um, (-SCORED_UM, SCORED_UM))
    expected = truth["D_um2_s"].iloc[0]
    print(f"{given.scene}, {given.frames} frames, seed {given.seed}, {given.search} search: Jaccard {score['jaccard']:.3f}, "
          f"verdict {brownian['verdict']} {brownian['reasons']}")  # fmt: skip
    _tell("D over the simulation's", AXES, [brownian["D_um2_s"][a]["value"] for a in AXES] / expected, (drawn / expected).std(axis=0))
    _tell("D over that of the true positions", AXES, measured / true, (drawn / drawn_true).std(axis=0))
    for what, value in (("D", measured), ("D of the true positions", true)):
        print(f"{what} over that of all beads, none missed: " + ", ".join(f"{axis} {ratio:.3f}" for axis, ratio in zip(AXES, value / complete)))
    for what, value, spread in (("measured", measured, drawn), ("true", true, drawn_true)):
        ratio = value[Z] / value[:Z].mean()
        _tell(f"Dz over Dxy, {what} positions", ["z / xy"], [ratio], [(spread[:, Z] / spread[:, :Z].mean(axis=1)).std()])


def _tell(what: str, names, values, sds) -> None:
    print(f"{what}: " + ", ".join(f"{name} {value:.3f} ± {sd:.3f}" for name, value, sd in zip(names, values, sds)))


if __name__ == "__main__":
    main()
