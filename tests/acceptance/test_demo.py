"""Whether the demo's results are right: run after `make demo`, against the truth that the simulation left beside its files.

    .venv/bin/python -m pytest tests/acceptance -q -s
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from defocus3d.evaluation import in_frame, jaccard, pairs_table

ROOT = Path(__file__).parents[2]
RANGE_UM, SCORED_UM = (-1.5, 1.5), (-1.4, 1.4)
FIELD_UM, PIXEL_UM = 19.2, 0.1
LEAST_JACCARD = {"sparse": 0.85, "dense": 0.70, "dim": 0.60}
AXES = ("x", "y", "z")


def goal(*values, why):
    """A parameter whose goal is not reached yet: the test says so, and says when it is."""
    return pytest.param(*values, marks=pytest.mark.xfail(reason=why, strict=False))


SAMPLE = "the beads of this movie happened to move less along x: their true displacements give 0.95 of D for all, 0.93 for those used"
AXIAL = "a goal of 5 % with 4 % of statistical error; some wrong heights in crowds last over frames, which adds another 3 to 6 %"
VERDICT = "in crowds D leans on the search range and on the estimator by a few percent, about as much as the tests can see"

if not (ROOT / "results/summary.csv").exists():
    pytest.skip("the demo has not run: make demo", allow_module_level=True)


def brownian(movie):
    return json.loads((ROOT / f"results/acquisitions/{movie}/brownian.json").read_text())


def truth(movie):
    return pd.read_parquet(ROOT / f"resources/demo/{movie}_truth.parquet")


@pytest.mark.parametrize("movie", ["sparse", "dense", "dim"])
def test_beads_are_found(movie):
    beads = in_frame(truth(movie), FIELD_UM, PIXEL_UM)
    found = pd.read_parquet(ROOT / f"results/acquisitions/{movie}/localizations.parquet")
    found = found[found["flag"] == 0]
    score = jaccard(beads, found, RANGE_UM, SCORED_UM)
    pairs = pairs_table(beads[beads["z_um"].between(*SCORED_UM)], found)
    rmse = {a: round(1e3 * float(np.sqrt((pairs[f"error_{a}_um"] ** 2).mean())), 1) for a in AXES}
    within = {a: round(float((pairs[f"error_{a}_um"].abs() < pairs[f"sigma_{a}_um"]).mean()), 3) for a in AXES}
    print(f"\n{movie}: Jaccard {score['jaccard']:.3f}, recall {score['recall']:.3f}, precision {score['precision']:.3f}, "
          f"RMSE {rmse} nm, within 1 sigma {within}")  # fmt: skip
    assert score["jaccard"] >= LEAST_JACCARD[movie]


@pytest.mark.parametrize("movie", ["sparse", goal("dense", why=VERDICT), goal("dim", why=VERDICT)])
def test_the_verdict_is_consistent(movie):
    result = brownian(movie)
    print(f"\n{movie}: D {result['D_um2_s']}, expected {result['D_expected_um2_s']}, {result['verdict']} {result['reasons']}")
    assert result["verdict"] == "consistent", result["reasons"]


@pytest.mark.parametrize("axis", [goal("x", why=SAMPLE), "y", goal("z", why=AXIAL)])
def test_diffusion_coefficient_of_the_dense_movie(axis):
    assert brownian("dense")["D_um2_s"][axis]["value"] == pytest.approx(truth("dense")["D_um2_s"].iloc[0], rel=0.05)


def test_confidence_intervals_hold_the_truth():
    missed = []
    for movie in LEAST_JACCARD:
        true = truth(movie)["D_um2_s"].iloc[0]
        for axis in AXES:
            low, high = brownian(movie)["D_um2_s"][axis]["ci95"]
            if low is None or not low <= true <= high:
                missed.append((movie, axis, low, true, high))
    assert len(missed) <= 1, missed
