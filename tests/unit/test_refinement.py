"""The likelihood fit reaches the bound, in isolation and in overlap, and states it."""

import numpy as np
import pytest
from optics import gaussian_psf

from defocus3d.camera import Camera
from defocus3d.psf import crlb
from defocus3d.refinement import FrameModel, fit_frame

CAMERA = Camera()


@pytest.mark.parametrize("z", [-0.6, 0.0, 0.5])
def test_isolated_bead_reaches_the_bound(z):
    psf, rng, n = gaussian_psf(), np.random.default_rng(3), 200
    errors, stated = [], []
    for _ in range(n):
        place = np.array([2.0, 2.0, z]) + rng.uniform(-0.05, 0.05, 3)
        image = CAMERA.detect(psf.image(*place, (41, 41), 3000) + 20, rng)
        fit = fit_frame(image, place[None] + rng.normal(0, [0.03, 0.03, 0.06]), psf, CAMERA)
        errors.append([fit.x_um[0] - place[0], fit.y_um[0] - place[1], fit.z_um[0] - place[2]])
        stated.append(fit.sigma_um[0])
    rms, bound = np.sqrt(np.mean(np.square(errors), axis=0)), crlb(psf, z, 3000, 20, CAMERA)[0]
    # the rms of n errors is known to 1 / sqrt(2 n) = 5 %; three of these, and 5 % for the bead's spread of heights
    assert (rms < bound * (1.05 + 3 / np.sqrt(2 * n))).all()
    assert (rms > bound * (0.95 - 3 / np.sqrt(2 * n))).all()
    assert np.median(stated, axis=0) == pytest.approx(bound, rel=0.15)


def test_overlapping_beads_are_told_apart_with_honest_errors():
    psf, rng = gaussian_psf(), np.random.default_rng(4)
    truth = np.array([[1.8, 2.0, 0.1], [2.2, 2.05, -0.3]])
    pulls = []
    for _ in range(150):
        image = CAMERA.detect(psf.image(*truth.T, (41, 41), [3000, 2000]) + 20, rng)
        fit = fit_frame(image, truth + rng.normal(0, 0.03, truth.shape), psf, CAMERA)
        pulls.append((np.column_stack([fit.x_um, fit.y_um, fit.z_um]) - truth) / fit.sigma_um)
    within = (np.abs(pulls) < 1).mean(axis=0)
    # 68 % of 150: binomial sd 3.8 %
    assert (abs(within - 0.683) < 4 * 0.038).all()


def test_gradient_is_that_of_the_likelihood():
    psf, rng = gaussian_psf(), np.random.default_rng(5)
    beads = np.array([[1.5, 1.6, 0.2, 900.0], [2.0, 1.9, -0.3, 700.0]])
    model = FrameModel(CAMERA.detect(psf.image(*beads[:, :3].T, (40, 40), beads[:, 3]) + 12, rng), psf, CAMERA)
    nodes = np.full(model.nodes[0] * model.nodes[1], 12.0)
    gradient = model.normal_equations(beads, nodes, model.expected(beads, nodes))[1]
    for p in range(8):
        step = np.zeros(8)
        step[p] = h = (1e-4, 1e-4, 1e-4, 0.5)[p % 4]
        up, down = (model.deviance(model.expected(beads + s * step.reshape(2, 4), nodes)) for s in (1, -1))
        assert gradient[p] == pytest.approx(-(up - down) / (2 * h), rel=0.02, abs=abs(gradient).max() * 1e-3)


def test_known_places_leave_brightness_and_background():
    psf, rng = gaussian_psf(), np.random.default_rng(6)
    place = np.array([[2.0, 2.0, 0.1]])
    image = CAMERA.detect(psf.image(*place.T, (41, 41), 5000) + 30, rng)
    fit = fit_frame(image, place, psf, CAMERA, move=False)
    assert (fit.x_um[0], fit.y_um[0], fit.z_um[0]) == tuple(place[0])
    assert fit.photons[0] == pytest.approx(5000, abs=5 * np.sqrt(5000 + 30 * 300))
    assert fit.background_e[0] == pytest.approx(30, abs=1.0)


def test_no_bead_is_no_error():
    assert len(fit_frame(np.full((30, 30), 10.0), np.empty((0, 3)), gaussian_psf(), CAMERA).x_um) == 0
