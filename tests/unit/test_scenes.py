"""Training scenes: what is in them, and that the same seed gives the same."""

import itertools

import numpy as np
import pytest
from optics import gaussian_psf

from defocus3d.scenes import (
    DISTRACTORS,
    HELD_OUT_GROUP,
    SPREAD,
    Scenes,
    brownian_paths,
    calibration_parts,
    draw_conditions,
    draw_scenes,
    held_out_blur,
)

RANGES = {"density_per_um2": (0.02, 0.2), "photons": (1000, 5000), "background_e": (10, 40)}


def draw(seed=1, count=30, blur=(0.0, 0.0), **changed):
    return draw_scenes(gaussian_psf(), (-1.0, 1.0), count, 64, **{**RANGES, **changed}, blur_um=blur, seed=seed)


def test_the_same_seed_gives_the_same_scenes():
    first, again, other = draw(1), draw(1), draw(2)
    assert (first.images == again.images).all() and first.beads.equals(again.beads)
    assert not (first.images[0] == other.images[0]).all()


def test_scenes_of_a_group_have_their_conditions_in_common():
    scenes = draw_scenes(gaussian_psf(), (-1.0, 1.0), 12, 64, **RANGES, blur_um=(0.0, 0.0), seed=1, group=4)
    for values in (scenes.photons, scenes.background_e, scenes.density_per_um2):
        assert len(np.unique(values)) == 3 and (np.diff(values.reshape(3, 4)) == 0).all()
    assert not (scenes.images[0] == scenes.images[1]).all()


def test_some_of_the_held_out_scenes_that_calibrate_are_at_rest():
    assert calibration_parts(640) == (256, 512) and calibration_parts(2) == (1, 1) and calibration_parts(16) == (8, 8)
    blur = held_out_blur(80, 0.06)
    assert calibration_parts(80) == (32, 64) and blur.shape == (80, 2)
    assert (blur[:32] == 0.06).all() and (blur[32:64] == 0.0).all() and (blur[64:] == 0.06).all()
    scenes = draw_scenes(gaussian_psf(), (-1.0, 1.0), 40, 64, **RANGES, blur_um=held_out_blur(40, 0.06), seed=1, group=HELD_OUT_GROUP)
    assert scenes.blur_um.tolist() == held_out_blur(40, 0.06)[:, 0].tolist()
    drawn = draw(blur=(0.01, 0.05)).blur_um
    assert 0.01 <= drawn.min() < 0.02 and 0.04 < drawn.max() <= 0.05


def test_conditions_lie_evenly_over_all_their_ranges_together():
    drawn = np.array(draw_conditions(64, (0.01, 0.1), (1000.0, 4000.0), (10.0, 40.0), seed=3))
    shares = np.concatenate([np.log(drawn[:, :4]), drawn[:, 4:]], axis=1)
    low, high = np.array([*np.log([(0.01, 0.1), (1000, 4000), (10, 40), SPREAD]), (0, 1), DISTRACTORS]).T
    shares = (shares - low) / (high - low)
    none = drawn[:, 5] == 0  # no beads beyond the range: a quarter of them, which are spread over the other ranges as all are
    assert none.sum() == 16 and shares[:, 5].min() == 0.25
    shares[none, 5] = np.random.default_rng(1).permutation((np.arange(16) + 0.5) / 64)
    assert all((np.histogram(column, 16, (0, 1))[0] == 4).all() for column in shares.T)
    for i, j in itertools.combinations(range(6), 2):  # 64 places by chance leave a quarter of these 16 squares with one or none at times
        assert (np.histogram2d(shares[:, i], shares[:, j], 4, ((0, 1), (0, 1)))[0] >= 2).all()
    assert draw_conditions(5, (0.01, 0.1), (1000, 4000), (10, 40), 3) == draw_conditions(64, (0.01, 0.1), (1000, 4000), (10, 40), 3)[:5]
    assert draw_conditions(5, (0.01, 0.1), (1000, 4000), (10, 40), 4) != draw_conditions(5, (0.01, 0.1), (1000, 4000), (10, 40), 3)


def test_density_in_range_is_as_drawn():
    scenes = draw(count=150)
    side = 6.4 + 6.0
    inside = scenes.beads[scenes.beads["z_um"].between(-1, 1)]
    expected = (scenes.density_per_um2 * side**2).sum()
    assert len(inside) == pytest.approx(expected, abs=5 * np.sqrt(expected))
    assert RANGES["density_per_um2"][0] <= scenes.density_per_um2.min() and scenes.density_per_um2.max() <= RANGES["density_per_um2"][1]


def test_distractors_lie_on_both_sides_beyond_the_range():
    z = draw(count=60).beads["z_um"]
    assert (z < -1).any() and (z > 1).any() and z.abs().max() <= 4.0


def test_light_of_beads_and_background_adds_up():
    scenes = draw(count=40, density_per_um2=(0.01, 0.011))
    background = np.array([scenes.images[k].astype(float).min() for k in range(40)])
    assert (background > 0.3 * scenes.background_e).all() and (background < 1.5 * scenes.background_e).all()


def test_paths_have_unit_variance_about_their_mean():
    paths = brownian_paths(np.random.default_rng(1), (50_000,))
    assert abs(paths.mean(axis=1)).max() < 1e-9
    assert (paths**2).mean() == pytest.approx(1, abs=0.02)


def test_saved_and_loaded(tmp_path):
    scenes = draw(count=5)
    scenes.save(tmp_path / "scenes.npz")
    again = Scenes.load(tmp_path / "scenes.npz")
    assert (again.images == scenes.images).all() and (again.blur_um == scenes.blur_um).all() and again.axial_range_um == scenes.axial_range_um
    assert again.beads["z_um"].to_numpy() == pytest.approx(scenes.beads["z_um"].to_numpy())
