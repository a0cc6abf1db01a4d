"""The two searches of the fit, from answers of the networks that are not all right, each judged by what was learned of it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from optics import PIXEL_UM, gaussian_psf

from defocus3d.camera import Camera
from defocus3d.localization import Calibration, Localizer
from defocus3d.population import Population
from defocus3d.sigma_scale import STAGES, SigmaScale
from defocus3d.tables import Flag

BEADS = np.array([[1.5, 1.5, 0.1], [4.0, 1.6, -0.4], [1.6, 4.2, 0.5], [4.1, 4.1, 0.0]])
ANSWERS = np.array([*BEADS[:3] + (0.05, -0.04, 0.1), [2.8, 2.8, 0.3]])  # one is where nothing is, and one is missing
FACTORS = dict(zip(STAGES, (1.0, 2.0, 3.0)))


class Told(Localizer):
    """One whose networks always give `ANSWERS`."""

    def networks(self, images_e, threshold):
        frame = np.repeat(np.arange(len(images_e)), len(ANSWERS))
        x, y, z = np.tile(ANSWERS, (len(images_e), 1)).T
        return pd.DataFrame({"frame": frame, "x_um": x, "y_um": y, "z_um": z, "probability": 0.9})


@pytest.fixture(scope="module")
def localizer() -> Told:
    scales = {stage: SigmaScale({}, [[np.log(factor)] * 3]) for stage, factor in FACTORS.items()}
    likely = {"quick": [9.0, 0.0, 0.0, 0.0], "thorough": [-9.0, 0.0, 0.0, 0.0]}
    calibration = Calibration(0.5, scales, {"quick": 1.0, "thorough": 0.5}, likely, PIXEL_UM, (-1.0, 1.0), (1000, 9000), (5, 80), (0.01, 0.3), "mle")
    return Told(None, None, gaussian_psf(), Camera(), calibration)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    clean = gaussian_psf().image(*BEADS.T, (58, 58), 5000.0) + 20
    return Camera().detect(np.repeat(clean[None], 3, axis=0), np.random.default_rng(5))


@pytest.mark.parametrize("search", ["quick", "thorough"])
def test_either_search_finds_missed_beads_but_only_the_thorough_one_drops_some(localizer, images, search):
    table = replace(localizer, search=search).fitted(images, Population(5000.0, 0.05, 0.01))
    assert table["frame"].nunique() == len(images)
    for _, found in table.groupby("frame"):
        places = found[["x_um", "y_um", "z_um"]].to_numpy()
        nearest = np.linalg.norm(places[None] - BEADS[:, None], axis=2).min(axis=1)
        assert (nearest < 0.06).all()
        assert len(found) == len(BEADS) + (search == "quick")
        added = found[found["network"] == 0]  # the networks gave the others a probability of 0.9
        assert np.linalg.norm(added[["x_um", "y_um", "z_um"]].to_numpy() - BEADS[3], axis=1).tolist() == pytest.approx([0], abs=0.06)


def test_each_search_has_its_own_uncertainties_and_probabilities(localizer, images):
    for search in ("quick", "thorough"):
        one = replace(localizer, search=search)
        stated = one.fitted(images, Population(5000.0, 0.05, 0.01))
        told = one.judged(stated, images.shape[1:])
        near = stated["sigma_z_um"] < 1
        assert near.sum() >= 3 * len(images)
        assert (told["sigma_z_um"] / stated["sigma_z_um"])[near].to_numpy() == pytest.approx(FACTORS[search])
        assert set(told["flag"].to_numpy() & Flag.WEAK) == {Flag.WEAK if search == "thorough" else 0}
        asked = stated.assign(other_loss=2.0)
        assert set(one.judged(asked, images.shape[1:])["other_log_odds"]) == {-2.0 if search == "quick" else -1.0}


def test_the_brightness_of_a_movie_is_the_same_by_either_search(localizer, images):
    for search in ("quick", "thorough"):
        assert replace(localizer, search=search).population(np.tile(images, (5, 1, 1))).photons == pytest.approx(5000, rel=0.03)
