"""The look before training counts beads, tells the sides of focus apart where they differ, and says what to mend."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from optics import gaussian_psf

from defocus3d import preview
from defocus3d.camera import Camera

TRAINING = {"photons": [1000, 10000], "background_e": [10, 80], "density_per_um2": [0.01, 0.2]}
CAMERA = Camera()


def movie(photons=5000.0, background_e=20.0, beads=9, frames=3):
    psf, rng = gaussian_psf(), np.random.default_rng(4)
    x, y = (grid.ravel() + rng.uniform(-0.3, 0.3, 9) for grid in np.meshgrid([2.0, 6.0, 10.0], [2.0, 6.0, 10.0]))
    images = []
    for _ in range(frames):
        z = rng.uniform(-0.9, 0.9, 9)[:beads]
        images.append(CAMERA.detect(background_e + psf.image(x[:beads], y[:beads], z, (128, 128), photons), rng))
    return np.stack(images)


def facts(images, saturation_e=1e9):
    found = preview.first_look(images, gaussian_psf(), CAMERA, TRAINING)
    return preview.movie_facts(images, found, saturation_e, gaussian_psf(), CAMERA, TRAINING)


def test_isolated_beads_are_counted_and_nothing_is_to_mend():
    seen = facts(movie())
    assert seen["beads_per_frame"] == pytest.approx(9, abs=1)
    assert seen["photons"] == pytest.approx(5000, rel=0.3)
    assert seen["background_e"] == pytest.approx(20, abs=2)
    assert seen["advice"] == []


@pytest.mark.parametrize(
    ("images", "saturation_e", "words"),
    [
        (movie(photons=40000.0), 1e9, "widen it"),
        (movie(background_e=200.0), 1e9, "training.background_e"),
        (movie(), 150.0, "saturated"),
        (movie(beads=0), 1e9, "hardly a bead"),
        (movie() - 30.0, 1e9, "offset_adu is too high"),
        (movie() + np.array([0.0, 10.0, 40.0])[:, None, None], 1e9, "background changes"),
    ],
    ids=["bright", "background", "saturated", "nobody", "offset", "changing"],
)
def test_what_is_wrong_is_said(images, saturation_e, words):
    assert any(words in text for text in facts(images, saturation_e)["advice"])


def test_an_astigmatic_image_tells_the_sides_and_a_symmetric_one_does_not():
    psf = gaussian_psf()
    apart = preview.sides_apart(psf, 5000, 20, CAMERA)
    assert apart["distance"].min() > preview.TOLD_APART
    assert (apart["z_um"] * apart["other_z_um"] < 0).all()
    symmetric = replace(psf, values=psf.values + psf.values[::-1])
    alike = preview.sides_apart(symmetric, 5000, 20, CAMERA)
    assert alike["distance"].max() < 0.1 * apart["distance"].min()
    beads = pd.DataFrame({"kept": [True] * 9, "reason": [""] * 9})
    assert any("two sides of focus look alike" in text for text in preview.optics_advice(beads, alike, TRAINING))
    assert preview.optics_advice(beads, apart, TRAINING) == []


def test_the_sides_are_as_far_apart_as_the_light_allows():
    """Without read noise and background, the distance grows with the root of the photons."""
    bare = Camera(read_noise_e=0.0)
    few, many = (preview.sides_apart(gaussian_psf(), n, 1e-6 * n, bare)["distance"] for n in (1000, 4000))
    np.testing.assert_allclose(many / few, 2.0, rtol=1e-3)
