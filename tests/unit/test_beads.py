"""Bead stacks with known beads: found, judged, registered and pooled."""

import numpy as np
import pytest
from optics import PIXEL_UM, gaussian_image

from defocus3d import beads as beads_module
from defocus3d.beads import NoBeadError, Stack, bead_table
from defocus3d.camera import Camera
from defocus3d.errors import InputError
from defocus3d.pooling import measure_psf

SETTINGS = {"footprint_um": "auto", "held_out_fraction": 0.33, "detection_snr": 8}
CAMERA = Camera(offset_adu=0, gain_e_per_adu=1, read_noise_e=1.0)
STAGE_UM = np.arange(-1.6, 1.601, 0.1)


def stack_of(x, y, focus, photons, side=200, background=10.0, seed=0, saturation=np.inf):
    """A stack of Gaussian beads at x, y (µm) that focus at the stage positions `focus`."""
    rng = np.random.default_rng(seed)
    planes = [
        background + sum(gaussian_image(a, b, stage - f, (side, side), n) for a, b, f, n in zip(x, y, focus, photons))
        for stage in STAGE_UM
    ]
    return Stack("stack.tif", CAMERA.detect(np.stack(planes), rng), STAGE_UM, CAMERA, saturation)


@pytest.fixture(scope="module")
def nine():
    rng = np.random.default_rng(5)
    x, y = (g.ravel() + rng.uniform(-0.3, 0.3, 9) for g in np.meshgrid([4, 10, 16], [4, 10, 16]))
    return x, y, rng.normal(0, 0.05, 9), rng.uniform(25000, 35000, 9)


@pytest.fixture(scope="module")
def measured(nine):
    stack = stack_of(*nine)
    psf, beads = measure_psf([stack], PIXEL_UM, (-1.0, 1.0), SETTINGS, seed=1)
    return psf, bead_table(beads, [stack], PIXEL_UM)


def by_place(table, x, y):
    """Rows of the table in the order of the true places."""
    return table.iloc[[int(np.argmin(np.hypot(table["x_um"] - a, table["y_um"] - b))) for a, b in zip(x, y)]]


def test_all_beads_are_kept_and_a_third_held_out(measured):
    _, table = measured
    assert table["role"].value_counts().to_dict() == {"psf": 6, "held_out": 3}


def test_registered_to_a_fraction_of_a_pixel(measured, nine):
    _, table = measured
    x, y, focus, _ = nine
    table = by_place(table, x, y)
    # 25,000 photoelectrons in each of 33 planes: the bound is below 0.3 nm at focus; 5 nm leaves room for the model's own noise
    assert abs(table["x_um"] - x).max() < 0.005 and abs(table["y_um"] - y).max() < 0.005
    relative = (table["z_um"] - focus).to_numpy()
    assert np.ptp(relative) < 0.015 and abs(relative.mean()) < 0.05


def test_pooled_psf_is_the_true_one(measured):
    psf, _ = measured
    middle = psf.radius_px * PIXEL_UM
    side = 2 * psf.radius_px + 1
    for z in (-0.9, -0.4, 0.05, 0.5, 0.9):
        truth = gaussian_image(middle, middle, z, (side, side))
        misfit = min(np.sqrt(((psf.image(middle, middle, z + s, (side, side)) - truth) ** 2).sum() / (truth**2).sum()) for s in np.linspace(-0.05, 0.05, 11))
        assert misfit < 0.05  # six beads of some 30,000 photoelectrons a plane


def test_a_background_measured_too_low_is_not_taken_for_light_of_the_beads(nine, monkeypatch):
    measure_background = beads_module.measure_background
    monkeypatch.setattr(beads_module, "measure_background", lambda *given, **named: measure_background(*given, **named) - 3.0)
    psf, beads = measure_psf([stack_of(*nine)], PIXEL_UM, (-1.0, 1.0), SETTINGS | {"footprint_um": 2.8}, seed=1)
    sharpest = psf.values[np.argmax((psf.values**2).sum(axis=(1, 2)))]
    distance = np.hypot(*np.mgrid[-psf.radius_px : psf.radius_px + 1, -psf.radius_px : psf.radius_px + 1])
    rim_e = 30000 * sharpest[(distance > 0.75 * psf.radius_px) & (distance < psf.radius_px - 1)].mean()
    assert abs(rim_e) < 0.2
    assert beads["extra_e"].mean() == pytest.approx(3.0, abs=0.5)


def test_a_range_on_one_side_of_focus_leaves_z_0_at_focus(nine):
    stack = stack_of(*nine)
    psf, beads = measure_psf([stack], PIXEL_UM, (1.2, 1.5), SETTINGS, seed=1)
    table = by_place(bead_table(beads, [stack], PIXEL_UM), *nine[:2])
    assert abs((table["z_um"] - nine[2]).mean()) < 0.05
    assert psf.z_range_um[0] < 0 and psf.axial_range_um == (1.2, 1.5)


def test_reasons_of_rejected_beads(nine):
    x, y, focus, photons = (list(v) for v in nine)
    stack = stack_of(x + [x[8] + 0.8, 19.9], y + [y[8], 9.0], focus + [0.0, 0.0], photons + [30000, 30000])
    _, beads = measure_psf([stack], PIXEL_UM, (-1.0, 1.0), SETTINGS, seed=1)
    reasons = set(beads["reason"]) - {""}
    assert {"pair", "border"} <= reasons


def test_an_odd_bead_is_rejected(nine):
    x, y, focus, photons = (list(v) for v in nine)
    stack = stack_of(x, y, focus, photons)
    odd = stack.images[:, 30:52, 30:52]
    stack.images[:, 30:52, 30:52] = np.roll(odd, 5, axis=2) * 0.5 + odd * 0.5  # two beads in one
    _, beads = measure_psf([stack], PIXEL_UM, (-1.0, 1.0), SETTINGS, seed=1)
    bad = by_place(beads.assign(x_um=beads["x_px"] * PIXEL_UM, y_um=beads["y_px"] * PIXEL_UM), x[:1], y[:1])
    assert bad["reason"].tolist() == ["odd shape or brightness"]


def test_a_bead_of_twice_the_light_of_its_like_is_rejected(nine):
    x, y, focus, _ = (list(v) for v in nine)
    _, beads = measure_psf([stack_of(x, y, focus, [54000.0] + [30000.0] * 8)], PIXEL_UM, (-1.0, 1.0), SETTINGS, seed=1)
    rejected = beads[beads["role"] == "rejected"]
    assert rejected["reason"].tolist() == ["odd shape or brightness"] and rejected["photons"].iloc[0] > 1.5 * beads["photons"].median()
    # where brightness varies anyway, it is no sign of two
    _, beads = measure_psf([stack_of(x, y, focus, 30000.0 * np.linspace(0.5, 1.6, 9))], PIXEL_UM, (-1.0, 1.0), SETTINGS, seed=1)
    assert (beads["role"] != "rejected").all()


def test_saturated_beads_cannot_serve(nine):
    stack = stack_of(*nine)
    stack.saturation_e = 1000.0
    with pytest.raises(NoBeadError, match="saturated"):
        measure_psf([stack], PIXEL_UM, (-1.0, 1.0), SETTINGS, seed=1)


def test_one_bead_is_too_few(nine):
    with pytest.raises(NoBeadError, match="only one of 1 beads can be used"):
        measure_psf([stack_of(*(values[4:5] for values in nine))], PIXEL_UM, (-1.0, 1.0), SETTINGS, seed=1)


def test_two_beads_at_least_make_the_psf(nine):
    stack = stack_of(*(values[[0, 4, 8]] for values in nine))
    _, beads = measure_psf([stack], PIXEL_UM, (-1.0, 1.0), SETTINGS | {"held_out_fraction": 0.9}, seed=1)
    assert beads["role"].value_counts().to_dict() == {"psf": 2, "held_out": 1}


@pytest.mark.parametrize(("offset", "told"), [(1.2, r"only from -0\.[34]"), (-1.2, r"only to 0\.[34]")])
def test_a_range_that_the_stacks_do_not_show_is_refused(nine, offset, told):
    x, y, focus, photons = nine
    stack = stack_of(x, y, focus - offset, photons)
    with pytest.raises(InputError, match=told):
        measure_psf([stack], PIXEL_UM, (-1.0, 1.0), SETTINGS, seed=1)


def test_a_range_of_its_own_needs_a_stack_of_some_length(nine):
    stack = stack_of(*nine)
    short = Stack("short.tif", stack.images, stack.stage_um / 10, CAMERA)
    with pytest.raises(InputError, match="is z_step_um right"):
        measure_psf([short], PIXEL_UM, "auto", SETTINGS, seed=1)


def test_an_empty_stack_is_refused():
    empty = Stack("empty.tif", CAMERA.detect(np.full((33, 120, 120), 10.0), np.random.default_rng(1)), STAGE_UM, CAMERA)
    with pytest.raises(NoBeadError, match="no bead was found"):
        measure_psf([empty], PIXEL_UM, (-1.0, 1.0), SETTINGS, seed=1)
