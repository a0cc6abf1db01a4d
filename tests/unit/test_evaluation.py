"""Matching, Jaccard index and calibration on tables with known answers."""

import numpy as np
import pandas as pd
import pytest

from defocus3d.assessment import binned
from defocus3d.evaluation import best_threshold, jaccard, match, other_weight


def table(*rows):
    return pd.DataFrame(rows, columns=["frame", "x_um", "y_um", "z_um"])


def test_pairs_are_one_to_one_and_closest_in_sum():
    truth = table((0, 0.0, 0, 0), (0, 0.2, 0, 0))
    found = table((0, 0.21, 0, 0), (0, 0.1, 0, 0))
    i, j = match(truth, found)
    assert dict(zip(i, j)) == {0: 1, 1: 0}


@pytest.mark.parametrize("shift, matched", [((0.24, 0, 0), 1), ((0.26, 0, 0), 0), ((0.2, 0.2, 0), 0), ((0, 0, 0.49), 1), ((0, 0, 0.51), 0)])
def test_limits_of_a_match(shift, matched):
    assert len(match(table((3, 1, 1, 0)), table((3, 1 + shift[0], 1 + shift[1], shift[2])))[0]) == matched


def test_frames_are_kept_apart():
    assert len(match(table((0, 1, 1, 0)), table((1, 1, 1, 0)))[0]) == 0


def test_jaccard_counts_missed_doubled_and_false():
    truth = table((0, 1, 1, 0), (0, 5, 5, 1), (0, 9, 9, 3.0))  # the last lies beyond the range
    found = table((0, 1, 1, 0.1), (0, 1.1, 1, 0.1), (0, 9, 9, 1.2))  # found, doubled, beyond the range
    score = jaccard(truth, found, (-1.5, 1.5))
    assert (score["n_truth"], score["n_found"], score["n_matched"]) == (2, 3, 1)
    assert score["jaccard"] == pytest.approx(1 / 4)


def test_beads_between_scored_and_axial_range_count_neither_way():
    truth, found = table((0, 1, 1, 0), (0, 5, 5, 1.45)), table((0, 1, 1, 0), (0, 5, 5, 1.4))
    assert jaccard(truth, found, (-1.5, 1.5), (-1.4, 1.4))["jaccard"] == 1.0
    assert jaccard(truth, found[:1], (-1.5, 1.5), (-1.4, 1.4))["jaccard"] == 1.0


def test_threshold_separates_true_from_false():
    truth = table(*((k, 1, 1, 0) for k in range(50)))
    good = truth.assign(probability=0.8)
    bad = truth.assign(x_um=3.0, probability=0.4)
    assert 0.4 < best_threshold(truth, pd.concat([good, bad]), (-1, 1)) <= 0.8


@pytest.mark.parametrize("weight", [0.3, 0.8])
def test_worth_of_a_likelihood_is_learned_from_which_height_was_right(weight):
    rng, n = np.random.default_rng(2), 5000
    loss = rng.uniform(0, 6, n)
    right = rng.random(n) < 1 / (1 + np.exp(-weight * loss))
    truth = pd.DataFrame({"frame": np.arange(n), "x_um": 1.0, "y_um": 1.0, "z_um": np.where(right, 0.3, -0.4)})
    found = truth.assign(z_um=0.3, other_z_um=-0.4, other_loss=loss)
    assert other_weight(truth, found) == pytest.approx(weight, rel=0.1)
    only_one = found.assign(other_z_um=np.nan, other_loss=np.nan)
    assert other_weight(truth, only_one) == 1.0
    assert other_weight(truth, pd.concat([found, only_one])) <= 1.0


def test_a_bead_counts_in_its_own_bin_whatever_was_measured_of_it():
    truth = table((0, 1, 1, 0), (0, 5, 5, 0)).assign(photons=[1900.0, 2100.0])
    found = table((0, 1, 1, 0), (0, 5, 5, 0), (0, 9, 9, 0)).assign(photons=[2200.0, 2200.0, 1500.0])  # and one that is not there
    found = found.assign(sigma_x_um=0.01, sigma_y_um=0.01, sigma_z_um=0.01)
    low, high = (binned("thorough", "photons", "photons", *edges, truth, found, (-1.5, 1.5)) for edges in ((1000, 2000), (2000, 3000)))
    assert (low["recall"], low["precision"], low["jaccard"]) == (1.0, 0.5, 0.5)
    assert (high["recall"], high["precision"], high["jaccard"]) == (1.0, 1.0, 1.0)
