"""Whether the demo's results are right: run after `make demo`, against the truth that the simulation left beside its files.

    .venv/bin/python -m pytest tests/acceptance -q -s
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from true_motion import AXES, measured_and_true

from defocus3d import settings
from defocus3d.evaluation import in_frame, jaccard, pairs_table

ROOT = Path(__file__).parents[2]
RANGE_UM, SCORED_UM = (-1.5, 1.5), (-1.4, 1.4)
FIELD_UM, PIXEL_UM = 19.2, 0.1
LEAST_JACCARD = {"sparse": 0.85, "dense": 0.70, "dim": 0.60}


def goal(*values, why):
    """A parameter whose goal is not reached yet: the test says so, and says when it is."""
    return pytest.param(*values, marks=pytest.mark.xfail(reason=why, strict=False))


SAMPLE = "the beads of this movie happened to move so: the true positions of those in the tracks give about 0.95 of D along x, 1.02 along z"
SYSTEMATIC = 0.03  # D of the same tracks, by measured and by true positions, differs by less, apart from chance
LARGEST_SD = {"sparse": 0.05, "dense": 0.04, "dim": 0.05}  # of their ratio by chance

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


@pytest.mark.parametrize("movie", ["sparse", "dense", "dim"])
def test_the_verdict_is_consistent(movie):
    result = brownian(movie)
    print(f"\n{movie}: D {result['D_um2_s']}, expected {result['D_expected_um2_s']}, {result['verdict']} {result['reasons']}")
    assert result["verdict"] == "consistent", result["reasons"]


@pytest.mark.parametrize("movie", ["sparse", "dense", "dim"])
def test_diffusion_coefficients_are_those_of_the_beads_true_positions(movie):
    """What a movie's few thousand steps happen to be is in both, and the error of the measurement is left."""
    analysis = settings.load_analysis(yaml.safe_load((ROOT / "config/config.yaml").read_text()), ROOT)
    acquisition = analysis.acquisitions.loc[movie].to_dict()
    (measured, drawn), (true, drawn_true), _ = measured_and_true(ROOT / "results/acquisitions" / movie, truth(movie), acquisition, FIELD_UM)
    ratio, sd = measured / true, (drawn / drawn_true).std(axis=0)
    print(f"\n{movie}: D by measured over D by true positions", dict(zip(AXES, ratio.round(3))), "give or take", sd.round(3))
    assert (abs(ratio - 1) < SYSTEMATIC + 2 * sd).all()
    assert (sd < LARGEST_SD[movie]).all()  # or the above would tell nothing


@pytest.mark.parametrize("axis", [goal("x", why=SAMPLE), "y", goal("z", why=SAMPLE)])
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
