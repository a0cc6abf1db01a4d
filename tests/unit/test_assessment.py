"""What the judgement of the networks takes for known."""

import pandas as pd
import pytest

from defocus3d.assessment import like_the_others
from defocus3d.population import LEAST_CV, Population

MEASURED = Population(17000.0, 0.05, 0.002)
BEADS = pd.DataFrame({
    "stack": ["a"] * 7 + ["b"] * 3,
    "role": ["psf"] * 4 + ["held_out", "rejected", "held_out"] + ["psf", "psf", "held_out"],
    "photons": [16000.0, 20000, 22000, 26000, 9e4, 9e4, 9e4, 5000, 5000, 5000],
})  # fmt: skip


def test_beads_of_a_stack_are_as_bright_as_those_that_made_the_psf():
    known = like_the_others(MEASURED, BEADS, "a")
    assert known.photons == pytest.approx(21000) and known.density_per_um3 == MEASURED.density_per_um3
    # standard deviation of the four, 4163, and that of their mean, over their mean
    assert known.photons_cv == pytest.approx(4163.3 * 1.25**0.5 / 21000, rel=1e-4)
    assert like_the_others(MEASURED, BEADS.assign(photons=5000.0), "a").photons_cv == LEAST_CV


@pytest.mark.parametrize("stack", ["b", "c"])
def test_too_few_beads_tell_nothing_of_the_others(stack):
    assert like_the_others(MEASURED, BEADS, stack) == MEASURED
