"""What surrounds the networks: targets, reading of cells, crops, flags. The networks themselves are judged by the workflow's tests."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from optics import gaussian_psf

from defocus3d import cnn, fcn, models, tables, training
from defocus3d.camera import Camera
from defocus3d.card import Card
from defocus3d.localization import Localizer, doubles, localize_movie
from defocus3d.scenes import Scenes
from defocus3d.training import Examples, clean_crops, learning_rate

PIXEL_UM = 0.1


def cells_of(x_px, y_px, shape):
    """Output of a perfect network for beads in one image."""
    truth = fcn.targets(x_px, y_px, np.zeros(len(x_px), int), (1, *shape))
    cells = np.full((*truth.shape[:3], 5), -3.0)
    cells[..., fcn.LOGIT] = np.where(truth[..., 0] > 0, 5.0, -8.0)
    cells[..., fcn.DX : fcn.DY + 1] = truth[..., 1:]
    return cells


def test_the_cnn_is_given_few_different_numbers_of_crops_and_answers_for_each():
    given = []

    def network(crops):
        given.append(len(crops))
        return np.repeat(crops[:, 0, 0, :1], 6, axis=1)

    for count in (1, 2, 15, 16, 17, 100, 256, 257, 300):
        crops = np.random.default_rng(count).normal(size=(count, 48, 48, 2)).astype(np.float32)
        place, sigma = cnn.read(network, crops)
        assert place == pytest.approx(np.repeat(crops[:, 0, 0, :1], 3, axis=1)) and sigma.shape == (count, 3)
    assert set(given) == {16, 32, 128, 256, 64}


@pytest.mark.parametrize("shape", [(3, 9, 203), (2, 16, 16), (1, 1, 2), (2, 1, 1)])
def test_medians_are_those_of_numpy(shape):
    images = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
    found = fcn.medians(images)
    assert found.dtype == np.float32 and np.array_equal(found, np.median(images, axis=(1, 2)))


def test_targets_and_reading_are_inverse():
    x, y = np.array([3.2, 17.9, 40.05]), np.array([5.5, 31.4, 12.0])
    found = fcn.read_cells(cells_of(x, y, (48, 64)), PIXEL_UM, 0.5).sort_values("x_um")
    assert found["x_um"].to_numpy() / PIXEL_UM == pytest.approx(x, abs=1e-4)
    assert found["y_um"].to_numpy() / PIXEL_UM == pytest.approx(y, abs=1e-4)


def test_cells_that_point_to_one_place_are_one_bead():
    cells = cells_of(np.array([15.5]), np.array([9.5]), (32, 32))
    i, j = np.argwhere(cells[0, ..., fcn.LOGIT] > 0)[0]
    half = 0.0  # probability 1/2 in this cell and in the next
    cells[0, i, j, fcn.LOGIT] = cells[0, i, j - 1, fcn.LOGIT] = half
    cells[0, i, j - 1, fcn.DX : fcn.DY + 1] = cells[0, i, j, fcn.DX : fcn.DY + 1] + (1, 0)
    found = fcn.read_cells(cells, PIXEL_UM, 0.7)
    assert len(found) == 1 and found["probability"].iloc[0] == pytest.approx(1.0)
    assert found["x_um"].iloc[0] == pytest.approx(1.55)


def test_loss_is_least_for_the_truth():
    truth = fcn.targets(np.array([10.0, 25.0]), np.array([10.0, 20.0]), np.zeros(2, int), (1, 32, 32))
    right = cells_of(np.array([10.0, 25.0]), np.array([10.0, 20.0]), (32, 32)).astype(np.float32)
    moved, missed = right.copy(), right.copy()
    moved[..., fcn.DX] += 0.3
    missed[..., fcn.LOGIT] = -8.0
    values = [float(models.fcn_loss(truth, output)) for output in (right, moved, missed)]
    assert values[0] < values[1] and values[0] < values[2]


@pytest.mark.parametrize("shape", [(64, 64), (50, 70), (9, 200)])
def test_any_image_size_goes_through(shape):
    images = fcn.prepare(np.full((2, *shape), 20.0, np.float32), Camera())
    cells = fcn.detect(models.build_fcn(1).predict_on_batch, images)
    assert cells.shape == (2, -(-shape[0] // 4), -(-shape[1] // 4), 5)


def test_crops_are_centred_and_mirror_the_border():
    plane = np.arange(60 * 70, dtype=float).reshape(1, 60, 70, 1)
    middle, corner = cnn.crops(plane, [0, 0], *cnn.centres(np.array([35.4, -0.7]), np.array([29.6, 0.0]), (60, 70)))
    half = cnn.CROP_PX // 2
    assert middle[half, half, 0] == plane[0, 30, 35, 0]
    assert corner[half, half, 0] == plane[0, 0, 0, 0] == corner[half - 1, half - 1, 0]


class NearestLight:
    """In place of both networks: of one bead in each image, the FCN is 1.3 and 0.8 pixels off, the CNN finds the nearest bright pixel."""

    def __init__(self, x_px, y_px, sigma, shape):
        self.sigma = sigma
        self.cells = cells_of(np.array([x_px + 1.3]), np.array([y_px - 0.8]), shape)

    def __call__(self, images):
        if images.shape[-1] == 1:
            return np.repeat(self.cells, len(images), axis=0)
        away = np.hypot(*(np.indices(images.shape[1:3]) - cnn.CROP_PX // 2))  # beyond the border is the mirror image
        row, column = np.unravel_index((images[..., 0] - 0.01 * away).reshape(len(images), -1).argmax(axis=1), images.shape[1:3])
        place = np.stack([column, row, np.full(len(images), 0.7)], axis=1) - (cnn.CROP_PX // 2, cnn.CROP_PX // 2, 0.0)
        return np.concatenate([place, np.log([self.sigma] * len(images))], axis=1)


@pytest.mark.parametrize(("x_px", "y_px"), [(30, 20), (2, 45)])
@pytest.mark.parametrize("sigma", [(0.1, 0.15, 0.05), (0.1, 0.3, 0.05)])  # the FCN states 0.2 pixels
def test_the_surer_network_has_the_place(x_px, y_px, sigma):
    images = np.full((2, 48, 64), 20.0, np.float32)
    images[:, y_px, x_px] = 500.0
    both = NearestLight(x_px, y_px, sigma, (48, 64))
    found = Localizer(both, both, gaussian_psf(), Camera(), None).networks(images, 0.5)
    assert found["frame"].tolist() == [0, 1]
    y_found = y_px - (0.8 if sigma[1] > 0.2 else 0.0)
    assert found[["x_um", "y_um", "z_um"]].to_numpy() == pytest.approx(np.array([[x_px * PIXEL_UM, y_found * PIXEL_UM, 0.7]] * 2), abs=1e-6)
    stated = found[["sigma_x_um", "sigma_y_um", "sigma_z_um"]].to_numpy()
    assert stated == pytest.approx(np.array([[0.01, min(sigma[1], 4 * np.exp(-3)) * PIXEL_UM, 0.05]] * 2))


def points(count, side, seed=0, density=0.1):
    """Scenes in which each of three beads lights one pixel, of a brightness that tells the scene: 1000 and its number."""
    rng = np.random.default_rng(seed)
    images, rows = np.zeros((count, side, side), np.float16), []
    for scene in range(count):
        places = rng.choice(side * side // 64, 3, replace=False)  # in different cells, and not next to each other
        y, x = 8 * (places // (side // 8)) + 3, 8 * (places % (side // 8)) + 2
        images[scene, y, x] = 1000 + scene
        rows.append(pd.DataFrame({"scene": scene, "x_um": x * PIXEL_UM, "y_um": y * PIXEL_UM, "z_um": [0.1, 0.5, -0.9], "photons": 1000.0 + scene}))
    ones = np.ones(count)
    return Scenes(images, pd.concat(rows, ignore_index=True), 10 * ones, density * ones, 1000.0 + np.arange(count), 0 * ones, PIXEL_UM, (-1.0, 1.0))


@pytest.mark.parametrize("side", [96, 32])
def test_examples_are_parts_of_scenes_with_their_targets(side):
    scenes = points(40, side)
    images, targets = Examples(scenes, np.arange(5, 40)).draw(200, np.random.default_rng(1))
    assert images.shape[1] == (80 if side == 96 else 32) and images.dtype == np.float32
    seen = set()
    for image, target in zip(images, targets):
        lit = np.argwhere(image > 0)
        i, j = np.nonzero(target[..., 0])
        places = np.stack([(i + 0.5 + target[i, j, 2]) * 4 - 0.5, (j + 0.5 + target[i, j, 1]) * 4 - 0.5], axis=1)
        assert sorted(map(tuple, np.rint(places).astype(int))) == sorted(map(tuple, lit))
        scene = {int(value) - 1000 for value in image[image > 0]}
        assert len(scene) <= 1 and all(5 <= k < 40 for k in scene)
        seen |= {(k, *lit[0]) for k in scene}
    assert len(seen) > 150 if side == 96 else len(seen) <= 35  # hardly ever the same part, where there is room


def test_of_two_beads_in_a_cell_the_brighter_is_the_target():
    scenes = points(4, 32)
    both = pd.DataFrame({"scene": 3, "x_um": [1.7, 1.8], "y_um": 1.7, "z_um": 0.0, "photons": [5000.0, 2000.0]})
    _, targets = Examples(replace(scenes, beads=pd.concat([scenes.beads, both])), np.array([3])).draw(1, np.random.default_rng(1))
    assert targets[0, 4, 4] == pytest.approx([1.0, 17.5 / 4 - 4.5, 17.5 / 4 - 4.5])


class Stated:
    """In place of a Keras FCN: says that beads are at these places of every image."""

    def __init__(self, x_px, y_px, shape):
        self.cells = cells_of(np.array(x_px), np.array(y_px), shape)

    def predict_on_batch(self, images):
        return np.repeat(self.cells, len(images), axis=0)


def test_a_detection_shows_the_nearest_bead_or_a_sharper_one_beside_it():
    beads = pd.DataFrame({"scene": [0, 0, 0, 0, 1], "x_um": [1.5, 1.75, 3.0, 3.05, 1.5], "y_um": 1.5, "z_um": [0.6, 0.1, 0.7, -0.1, 0.3], "photons": 1e3})
    scenes = replace(points(2, 64), beads=beads)
    found = training.seen_beads(scenes, Stated([15.0, 17.5, 30.0, 50.0], [15.0] * 4, (64, 64)), Camera(), 1)
    true = found.sort_values(["frame", "x_um"])[training.TRUE].to_numpy()
    expected = np.array([[1.5, 1.5, 0.6], [1.75, 1.5, 0.1], [3.05, 1.5, -0.1], [np.nan] * 3, [1.5, 1.5, 0.3], [1.5, 1.5, 0.3], [np.nan] * 3, [np.nan] * 3])
    assert true == pytest.approx(expected, nan_ok=True)


def test_crops_for_training_know_where_their_bead_is():
    scenes = points(3, 96)
    true = scenes.beads.rename(columns={"scene": "frame"})
    found = true.assign(x_um=true["x_um"] + 0.13, y_um=true["y_um"] - 0.08, probability=1.0, true_x_um=true["x_um"], true_y_um=true["y_um"], true_z_um=true["z_um"])
    found.loc[4, training.TRUE] = np.nan
    clean, frame, place = clean_crops(scenes, found)
    assert frame.tolist() == [0, 0, 0, 1, 1, 2, 2, 2] and place.dtype == np.float32
    assert place[:, 2] == pytest.approx(np.delete(true["z_um"].to_numpy(), 4))
    for crop, (dx, dy, _) in zip(clean, place):
        assert crop[cnn.CROP_PX // 2 + round(float(dy)), cnn.CROP_PX // 2 + round(float(dx)), 0] >= 1000
    assert place[0, :2] == pytest.approx([-1, 1], abs=1e-5)


def as_seen(beads, probability):
    """`beads` (with `frame`) as the FCN finds them, each at its true place."""
    return beads.assign(probability=probability, **{f"true_{a}_um": beads[f"{a}_um"] for a in "xyz"})


def test_crops_of_many_scenes_come_from_their_own():
    scenes = points(300, 32)  # more than are taken at once
    beads = scenes.beads.rename(columns={"scene": "frame"})
    found = as_seen(beads, 0.5 + beads["frame"] / 1000)
    clean, frame, _ = clean_crops(scenes, found)
    assert frame.tolist() == beads["frame"].tolist()
    middle = clean[:, cnn.CROP_PX // 2, cnn.CROP_PX // 2].astype(float)
    assert (middle[:, 0] == 1000 + frame).all() and middle[:, 1] == pytest.approx(0.5 + frame / 1000, abs=1e-3)


@pytest.mark.parametrize("name", ["fcn", "cnn"])
def test_nothing_is_learned_from_scenes_that_validate(name, monkeypatch):
    scenes, seen = points(100, 96), set()
    beads = scenes.beads.rename(columns={"scene": "frame"})
    found = as_seen(beads, 1.0)
    monkeypatch.setattr(training, "seen_beads", lambda *_: found)
    monkeypatch.setattr(training, "fit", lambda build, loss, draw, *_: draw)
    monkeypatch.setattr(Camera, "detect", lambda _, images, rng: seen.update(images[images > 0].astype(int).tolist()) or images)
    settings = {"seed": 1, "learning_rate": 1e-3} | {f"{n}_{what}": 20 for n in ("fcn", "cnn") for what in ("steps", "batch")}
    if name == "fcn":
        draw = training.train_fcn(scenes, Camera(), settings)
    else:
        draw = training.train_cnn(scenes, None, Camera(), settings)
    learn, validate = training.split(scenes)
    assert seen and {k - 1000 for k in seen} <= set(validate)  # a part of a scene may show no bead
    seen.clear()
    for step in range(40):
        draw(np.random.default_rng(step))
    assert {k - 1000 for k in seen} == set(learn)


def test_each_scene_counts_alike_however_many_beads_it_has():
    scene = np.repeat([3, 4, 8], [1, 40, 9])
    drawn = scene[np.searchsorted(training.even_chances(scene), (np.arange(3000) + 0.5) / 3000)]
    assert np.unique(drawn, return_counts=True)[1] == pytest.approx([1000] * 3, abs=1)


def test_the_cnn_learns_as_much_from_a_sparse_scene_as_from_a_crowd(monkeypatch):
    scenes = points(100, 96)
    crowd = pd.concat([scenes.beads, *(scenes.beads[scenes.beads["scene"] % 2 == 0].assign(x_um=lambda t, k=k: t["x_um"] + 0.01 * k) for k in range(9))])
    found = as_seen(crowd.rename(columns={"scene": "frame"}).sort_values("frame", kind="stable", ignore_index=True), 1.0)
    monkeypatch.setattr(training, "seen_beads", lambda *_: found)
    monkeypatch.setattr(training, "fit", lambda build, loss, draw, *_: draw)
    monkeypatch.setattr(Camera, "detect", lambda _, images, rng: seen.extend(images.max(axis=(1, 2)).astype(int) - 1000) or images)
    seen = []
    draw = training.train_cnn(scenes, None, Camera(), {"seed": 1, "learning_rate": 1e-3, "cnn_steps": 20, "cnn_batch": 2000})
    seen.clear()
    draw(np.random.default_rng(1))
    assert np.mean(np.array(seen) % 2) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("cores", [1, 2, 6, 64])
def test_batches_come_in_order_whatever_draws_them(cores, monkeypatch):
    monkeypatch.setattr(training, "_cores", lambda: cores)
    assert list(training._ahead(lambda step: step**2, range(3, 30))) == [step**2 for step in range(3, 30)]
    assert list(training._ahead(lambda step: step, range(4, 4))) == []


def test_detection_map_has_probability_at_whole_pixels():
    found = pd.DataFrame({"frame": [0, 1, 1, 1], "x_um": [1.04, 2.0, 2.03, 9.0], "y_um": [0.98, 2.02, 1.96, -3.0], "probability": [0.8, 0.5, 0.25, 0.1]})
    maps = cnn.detection_map(found, 2, (40, 40), PIXEL_UM)
    assert maps.sum(axis=(1, 2)) == pytest.approx([0.8, 0.85])
    assert (maps[0, 10, 10], maps[1, 20, 20], maps[1, 0, 39]) == pytest.approx((0.8, 0.75, 0.1))


def test_the_less_probable_of_two_answers_is_the_double():
    rows = pd.DataFrame({"frame": [0, 0, 1], "x_um": [1.0, 1.05, 1.0], "y_um": 1.0, "z_um": [0.0, 0.1, 0.0], "probability": [0.6, 0.9, 0.5]})
    assert doubles(rows).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("photons", "background", "blur_um", "density", "told"),
    [(5000, 20, 0.0, 0.001, []), (300, 20, 0.0, 0.1, ["brightness of about 300"]), (5000, 150, 0.0, 0.1, ["background of about 150"]),
     (5000, 20, 0.0, 0.5, ["0.5 localizations per µm² are more"]),
     (90000, 1, 0.3, 0.1, ["motion blur of 0.3", "brightness of about 90000", "background of about 1 "])],
)  # fmt: skip
def test_a_movie_beyond_the_training_is_told(photons, background, blur_um, density, told):
    card = Card(PIXEL_UM, (-1.0, 1.0), Camera(), (1000.0, 20000.0), (5.0, 80.0), (0.005, 0.3), 0.05)
    localizer = Localizer(SimpleNamespace(card=card), None, replace(gaussian_psf(), blur_um=blur_um), Camera(), None)
    warnings = localizer.untrained(np.array([photons, photons]), [background] * 3, density)
    assert len(warnings) == len(told) and all(warning.startswith(start) for warning, start in zip(warnings, told))


class FrameByFrame(Localizer):
    """One good bead in each image, as bright as the image's first pixel, and one that is flagged."""

    def locate(self, images_e, beads, threads=2):
        rows = {name: np.ones(2 * len(images_e), kind) for name, kind in tables.LOCALIZATION_COLUMNS.items()}
        frame = np.repeat(np.arange(len(images_e)), 2)
        photons = images_e[frame, 0, 0] * np.tile([1, 1e6], len(images_e))
        return pd.DataFrame(rows | {"frame": frame, "photons": photons, "flag": np.tile([0, 8], len(images_e))})


def test_a_movie_is_given_away_batch_by_batch():
    card = Card(PIXEL_UM, (-1.0, 1.0), Camera(), (1000.0, 20000.0), (0.5, 80.0), (0.005, 0.3), 0.05)
    calibration = SimpleNamespace(axial_range_um=(-1.0, 1.0))
    localizer = FrameByFrame(SimpleNamespace(card=card), None, gaussian_psf(), Camera(), calibration)
    images = np.ones((7, 25, 25))
    images[:, 0, 0] = 300 + np.arange(7)
    movie, parts = Movie(images), []
    info = localize_movie(localizer, movie, {"axial_scale": 0.5}, {"refine": "none", "batch_frames": 3}, parts.append)
    assert [len(part) for part in parts] == [6, 6, 2] and movie.largest == 3
    table = pd.concat(parts)
    assert table["frame"].tolist() == np.repeat(np.arange(7), 2).tolist()
    assert (table[["z_um", "sigma_z_um", "other_z_um"]] == 0.5).all(axis=None) and (table["x_um"] == 1).all()
    assert (info["n_frames"], info["n_localizations"], info["n_good"], info["axial_range_um"]) == (7, 14, 7, [-0.5, 0.5])
    assert len(info["warnings"]) == 1 and 297 < brightness_told(info["warnings"][0]) < 309


def test_beads_that_bleach_below_what_was_trained_for_are_told():
    card = Card(PIXEL_UM, (-1.0, 1.0), Camera(), (1000.0, 20000.0), (0.5, 80.0), (0.005, 0.3), 0.05)
    localizer = FrameByFrame(SimpleNamespace(card=card), None, gaussian_psf(), Camera(), SimpleNamespace(axial_range_um=(-1.0, 1.0)))
    images = np.ones((81, 25, 25))
    images[:, 0, 0] = np.geomspace(4000, 400, 81)
    settings = {"refine": "none", "batch_frames": 4}
    (warning,) = localize_movie(localizer, Movie(images), {"axial_scale": 1.0}, settings, lambda part: None)["warnings"]
    assert brightness_told(warning) == pytest.approx(np.quantile(images[:, 0, 0], 0.25), rel=0.03)


def brightness_told(warning: str) -> float:
    return float(warning.removeprefix("brightness of about ").partition(" ")[0])


class Movie:
    """What is read of `images`, and how many at most at a time."""

    def __init__(self, images):
        self.images, self.shape, self.largest = images, images.shape[1:], 0

    def __len__(self):
        return len(self.images)

    def read(self, start, stop):
        self.largest = max(self.largest, stop - start)
        return self.images[start:stop]


def test_learning_rate_rises_then_falls():
    rates = [learning_rate(k, 1000, 1.0) for k in range(1000)]
    assert np.argmax(rates) == pytest.approx(50, abs=2) and rates[-1] < 0.02 and max(rates) <= 1.0


def test_the_height_of_a_bead_at_the_end_of_the_measured_ones_is_told_as_unknown():
    known = SimpleNamespace(psf=SimpleNamespace(pixel_size_um=PIXEL_UM), calibration=SimpleNamespace(axial_range_um=(-1.5, 1.5)))
    table = pd.DataFrame({"frame": [0, 0], "x_um": [1.0, 3.0], "y_um": 1.0, "z_um": [0.2, 2.2], "sigma_x_um": 0.01, "sigma_y_um": 0.01,
                          "sigma_z_um": [0.03, 1e9], "probability": 0.9, "photons": 1000.0, "background_e": 20.0, "misfit": 1.0, "weak": False,
                          "other_z_um": np.nan, "other_log_odds": np.nan})  # fmt: skip
    told = Localizer.flagged(known, table, (48, 64))
    assert told["sigma_z_um"].tolist() == [0.03, 10.0]
    assert told["flag"].tolist() == [0, tables.Flag.OUT_OF_RANGE | tables.Flag.UNCERTAIN]
