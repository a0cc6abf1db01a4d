"""The PSF model: its images, derivatives, persistence and precision limit."""

import numpy as np
import pytest
from optics import PIXEL_UM, gaussian_image, gaussian_psf

from defocus3d.camera import Camera
from defocus3d.psf import PSF, crlb, precision_limit
from defocus3d.rendering import gradients


@pytest.mark.parametrize("x, y, z", [(1.6, 1.6, 0.0), (1.537, 1.671, -0.83), (1.65, 1.55, 0.456)])
def test_image_between_knots(x, y, z):
    psf, truth = gaussian_psf(), gaussian_image(x, y, z, (33, 33))
    # cubic splines on a Gaussian of 1.5 pixels: interpolation error below 2 % of the peak
    assert abs(psf.image(x, y, z, (33, 33)) - truth).max() < 0.02 * truth.max()


def test_beads_add_up_and_may_lie_outside():
    psf = gaussian_psf()
    together = psf.image([0.5, 3.0, -0.2], [1.0, 2.0, 2.0], [0.1, -0.4, 0.3], (40, 40), [10.0, 20.0, 30.0])
    alone = sum(psf.image(x, y, z, (40, 40), n) for x, y, z, n in [(0.5, 1.0, 0.1, 10), (3.0, 2.0, -0.4, 20), (-0.2, 2.0, 0.3, 30)])
    assert together == pytest.approx(alone)


def test_derivatives_match_differences():
    psf, size, h = gaussian_psf(), 29, 1e-4
    knot = psf.knots_of(0.33)[0]
    value, by_x, by_y, by_z = gradients(psf.coefficients, 0.2, -0.3, knot, size)
    for derivative, step in ((by_x, (h, 0, 0)), (by_y, (0, h, 0)), (by_z, (0, 0, h))):
        up = gradients(psf.coefficients, 0.2 + step[0], -0.3 + step[1], knot + step[2], size)[0]
        down = gradients(psf.coefficients, 0.2 - step[0], -0.3 - step[1], knot - step[2], size)[0]
        assert derivative == pytest.approx((up - down) / (2 * h), abs=1e-6 * value.max() / h * 1e-2)


def test_beyond_the_planes_the_image_grows_by_geometric_optics():
    psf = gaussian_psf()
    low, high = psf.z_range_um
    at_end, twice = psf.image(5, 5, high, (101, 101)), psf.image(5, 5, 2 * high, (101, 101))
    assert twice.max() == pytest.approx(at_end.max() / 4, rel=0.02)
    assert twice.sum() == pytest.approx(at_end.sum(), rel=0.02)


def test_saved_and_loaded(tmp_path):
    psf = gaussian_psf()
    psf.save(tmp_path / "psf.npz")
    again = PSF.load(tmp_path / "psf.npz")
    assert again.axial_range_um == psf.axial_range_um and again.z_range_um == pytest.approx(psf.z_range_um)
    assert again.values == pytest.approx(psf.values, abs=1e-7)


def test_blur_widens_by_its_variance():
    psf, sigma = gaussian_psf(), 0.1
    x = np.arange(-16, 17) * PIXEL_UM

    def width2(model):
        line = model.image(1.6, 1.6, 0.0, (33, 33)).sum(axis=0)
        return (line * x**2).sum() / line.sum()

    # motion along z widens too: by half the curvature of the variance over z, times sigma²
    curvature = 0.15**2 / 0.7**2
    assert width2(psf.blurred(sigma)) - width2(psf) == pytest.approx(sigma**2 * (1 + curvature), rel=0.05)


def test_crlb_matches_a_numerical_likelihood():
    """The curvature of the expected log-likelihood, by differences, inverted: no formula of ours is used."""
    psf, camera = gaussian_psf(), Camera(read_noise_e=0.0)
    photons, background, z = 3000.0, 20.0, 0.35
    truth = np.array([1.6, 1.6, z, photons, background])

    def mean(p):
        return p[3] * psf.image(p[0], p[1], p[2], (33, 33)) + p[4]

    expected = mean(truth)

    def likelihood(p):
        return (expected * np.log(mean(p)) - mean(p)).sum()

    h = np.array([2e-3, 2e-3, 4e-3, 5.0, 0.05])
    curvature = np.empty((5, 5))
    for i in range(5):
        for j in range(5):
            a, b = np.eye(5)[i] * h, np.eye(5)[j] * h
            second = likelihood(truth + a + b) - likelihood(truth + a - b) - likelihood(truth - a + b) + likelihood(truth - a - b)
            curvature[i, j] = second / (4 * h[i] * h[j])
    numerical = np.sqrt(np.diag(np.linalg.inv(-curvature)))[:3]
    assert crlb(psf, z, photons, background, camera)[0] == pytest.approx(numerical, rel=0.02)


def test_at_the_last_plane_nothing_is_known_of_z():
    """The spline is mirrored there, so that its slope by z may be 0 to the last digit."""
    flat = PSF(np.repeat(gaussian_psf().values[:1], 6, axis=0), 0.1, 0.0, 0.1)
    assert np.isinf(crlb(flat, 0.0, 1000, 10, Camera())).all()


def test_crlb_refuses_what_was_not_measured():
    with pytest.raises(ValueError, match="where the PSF was measured"):
        crlb(gaussian_psf(), 2.0, 1000, 10, Camera())


def test_precision_limit_falls_with_brightness():
    table = precision_limit(gaussian_psf(), (500, 20000), (5, 80), Camera())
    assert table["background_e"].unique() == pytest.approx([20.0])
    middle = table[np.isclose(table["z_um"], 0)]
    assert (np.diff(middle.sort_values("photons")["crlb_z_um"]) < 0).all()
