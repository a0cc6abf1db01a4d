"""The camera's noise has the mean and variance that its data sheet implies."""

import numpy as np
import pytest

from defocus3d.camera import Camera

CAMERAS = [Camera(), Camera(offset_adu=0, gain_e_per_adu=1, read_noise_e=0, em_gain=1), Camera(read_noise_e=0.1, em_gain=300)]


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("expected", [2.0, 20.0, 700.0])
def test_mean_and_variance(camera, expected):
    n = 400_000
    noisy = camera.detect(np.full(n, expected), np.random.default_rng(1)).astype(float)
    variance = camera.variance(expected)
    assert noisy.mean() == pytest.approx(expected, abs=5 * np.sqrt(variance / n))
    # the variance of a variance: kurtosis of Poisson and of the EM excess stay below 6 here
    assert noisy.var() == pytest.approx(variance, rel=5 * np.sqrt(6 / n))


def test_em_gain_doubles_the_variance():
    assert Camera(read_noise_e=0, em_gain=1000).variance(100.0) == pytest.approx(200.0, rel=2e-3)


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("expected", [20.0, 2000.0])
def test_stabilised_noise_has_unit_variance(camera, expected):
    stable = camera.stabilise(camera.detect(np.full(200_000, expected), np.random.default_rng(2)))
    assert stable.std() == pytest.approx(1.0, abs=0.03)


def test_counts_and_back():
    camera = Camera()
    electrons = np.array([0.0, 5.3, 1000.0, 20000.0])
    back = camera.to_photoelectrons(camera.to_counts(electrons))
    assert np.abs(back - electrons).max() <= camera.gain_e_per_adu / 2 + 1e-3


def test_counts_are_clipped_not_wrapped():
    assert Camera().to_counts(np.array([-1e6, 1e9])).tolist() == [0, 65535]
