"""When the two estimators count as disagreeing."""

import numpy as np
import pytest

from defocus3d.verdict import _estimators


def found_and_replicates(difference: float, sd_of_difference: float, sd_of_D: float):
    """Of D near 1 along three axes, with bootstrap replicates of these standard deviations."""
    scatter = np.random.default_rng(1).standard_normal((2, 4000))
    replicates = {"together": 1.0 + sd_of_D * scatter[0], "difference": np.repeat(difference + sd_of_difference * scatter[1][:, None], 3, axis=1)}
    return {"difference": np.full(3, difference), "together": 1.0, "reach": 1}, replicates


@pytest.mark.parametrize(
    ("difference", "sd_of_difference", "sd_of_D", "told"),
    [
        (-0.05, 0.01, 0.02, True),
        (0.05, 0.01, 0.02, True),
        (-0.05, 0.03, 0.02, False),  # by chance
        (-0.03, 0.005, 0.02, False),  # for certain, but within the interval of D
        (-0.03, 0.005, 0.005, True),
        (-0.015, 0.001, 0.001, False),  # of no consequence
    ],
)
def test_estimators_disagree_beyond_their_errors_and_the_interval_of_D(difference, sd_of_difference, sd_of_D, told):
    reasons = _estimators(*found_and_replicates(difference, sd_of_difference, sd_of_D), None, 2.8)
    assert len(reasons) == told
    assert all(("higher" if difference > 0 else "lower") in reason for reason in reasons)
