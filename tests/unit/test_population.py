"""The brightness of a movie's beads: measured in spite of crowds, and left open where there are too few."""

import numpy as np
import pytest

from defocus3d import population
from defocus3d.population import Population

UNKNOWN = Population.unknown((1000, 9000), (0.01, 0.09), (-1.5, 1.5))


def counting_error(photons, rng, background=20, pixels=(20, 500)):
    """Of a bead's light and of the background in a pixel, beneath an image that covers more pixels out of focus."""
    return np.sqrt(photons + background * rng.uniform(*pixels, len(photons)))


def test_what_is_known_beforehand_is_the_middle_of_the_training():
    assert UNKNOWN.photons == pytest.approx(3000)
    assert UNKNOWN.density_per_um3 == pytest.approx(0.01)


@pytest.mark.parametrize("cv", [0.1, 0.3])
def test_brightness_and_its_spread_are_found_beneath_the_errors(cv):
    rng, n = np.random.default_rng(1), 4000
    sigma = rng.uniform(50, 300, n)
    photons = 5000 * (1 + cv * rng.standard_normal(n)) + sigma * rng.standard_normal(n)
    found = population.measure(photons, sigma, 1e5, UNKNOWN)
    # the best measured quarter counts: 1,000 beads, and their brighter half for the spread; errors of median and MAD are 1.25 and
    # 1.65 / sqrt(2) times those of mean and sd
    assert found.photons == pytest.approx(5000, rel=4 * 1.25 * cv / np.sqrt(n / 4))
    assert found.photons_cv == pytest.approx(cv, rel=4 * 1.2 / np.sqrt(n / 8))
    assert found.density_per_um3 == pytest.approx(n / 1e5)


@pytest.mark.parametrize("cv", [0.15, 0.3])
@pytest.mark.parametrize(("typical", "background", "pixels"), [(5000, 20, (20, 500)), (20_000, 5, (20, 500)), (20_000, 5, (40, 60)), (1500, 40, (40, 60))])
def test_brightness_is_right_for_much_and_little_background_and_at_one_height(typical, background, pixels, cv):
    rng, n = np.random.default_rng(1), 4000
    photons = typical * np.maximum(1 + cv * rng.standard_normal(n), 0.1)
    sigma = counting_error(photons, rng, background, pixels)
    found = population.measure(photons + sigma * rng.standard_normal(n), sigma, 1e5, UNKNOWN)
    # tolerances as above
    assert found.photons == pytest.approx(typical, rel=4 * 1.25 * cv / np.sqrt(n / 4))
    assert found.photons_cv == pytest.approx(cv, rel=4 * 1.2 / np.sqrt(n / 8))


def with_outliers(rng, n, typical, cv, every, factors):
    """Photons of n beads, of which one of so many is brighter or dimmer by a factor from that range."""
    photons = typical * (1 + cv * rng.standard_normal(n))
    photons[::every] *= rng.uniform(*factors, n // every)
    return photons


def test_a_tenth_of_overlapping_beads_does_not_matter():
    rng = np.random.default_rng(2)
    photons = with_outliers(rng, 4000, 5000, 0.1, 10, (1.3, 2.0))
    found = population.measure(photons, counting_error(photons, rng), 1e5, UNKNOWN)
    assert found.photons == pytest.approx(5000, rel=0.03) and found.photons_cv < 0.14


def test_a_fifth_of_overlapping_beads_hardly_widens_the_spread():
    rng = np.random.default_rng(5)
    photons = with_outliers(rng, 4000, 5000, 0.1, 5, (1.3, 2.0))
    assert population.measure(photons, counting_error(photons, rng), 1e5, UNKNOWN).photons_cv < 0.15


def test_a_fifth_of_beads_on_the_wrong_side_of_focus_does_not_matter():
    rng = np.random.default_rng(3)
    photons = with_outliers(rng, 600, 6000, 0.05, 5, (0.5, 0.9))
    found = population.measure(photons, counting_error(photons, rng), 1e4, UNKNOWN)
    assert found.photons == pytest.approx(6000, rel=0.02) and found.photons_cv < 0.054


def test_a_third_of_beads_on_the_wrong_side_of_focus_hardly_widens_the_spread():
    rng = np.random.default_rng(4)
    photons = with_outliers(rng, 600, 6000, 0.08, 3, (0.4, 0.9))
    found = population.measure(photons, counting_error(photons, rng), 1e4, UNKNOWN)
    assert found.photons_cv == pytest.approx(0.08, rel=0.35)


@pytest.mark.parametrize(("typical", "background"), [(5000, 20), (20_000, 10)])
def test_dim_false_finds_of_small_uncertainty_do_not_count_as_the_best_measured(typical, background):
    rng = np.random.default_rng(6)
    photons = typical * np.concatenate([1 + 0.1 * rng.standard_normal(500), rng.uniform(0.2, 0.8, 125)])
    sigma = counting_error(photons, rng, background)
    found = population.measure(photons, sigma, 1e4, UNKNOWN)
    assert found.photons == pytest.approx(typical, rel=0.03) and found.photons_cv < 0.12


def test_the_noise_of_electron_multiplication_does_not_count_as_background():
    rng = np.random.default_rng(7)
    photons = 5000 * (1 + 0.2 * rng.standard_normal(4000))
    sigma = np.sqrt(2) * counting_error(photons, rng, 5)
    found = population.measure(photons, sigma, 1e4, UNKNOWN, excess_noise=2.0)
    assert found.photons == pytest.approx(5000, rel=0.04)
    assert population.measure(photons, sigma, 1e4, UNKNOWN).photons < 4500


def test_few_or_faint_beads_tell_nothing():
    assert population.measure([5000.0] * 5, [100.0] * 5, 1e3, UNKNOWN) is UNKNOWN
    assert population.measure([500.0] * 50, [100.0] * 50, 1e3, UNKNOWN) is UNKNOWN
    assert population.measure([], [], 1e3, UNKNOWN) is UNKNOWN
