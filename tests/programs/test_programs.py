"""The exports, opened by the programs that they are for. Runs in an environment of its own: `make test-programs`."""

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).parents[2] / "workflow"))

import napari.layers
import picasso.io
import picasso.render

from defocus3d import exports, tables
from defocus3d.camera import Camera

PIXEL_UM, SHAPE, FRAMES = 0.1, (64, 48), 30
INFO = {"pixel_size_um": PIXEL_UM, "shape": list(SHAPE), "n_frames": FRAMES}
ROUNDING = 1e-6  # relative, of single precision


@pytest.fixture(scope="module")
def tracks():
    """Five beads in thirty frames, each localized in every frame."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({name: rng.uniform(0.01, 0.05, 5 * FRAMES) for name in tables.TRACK_COLUMNS})
    places = {"x_um": rng.uniform(0, 4.7, len(table)), "y_um": rng.uniform(0, 6.3, len(table)), "z_um": rng.uniform(-1.5, 1.5, len(table))}
    table = table.assign(**places, photons=rng.uniform(1e3, 1e4, len(table)), background_e=20.0, flag=0)
    return table.assign(particle=np.repeat(np.arange(5), FRAMES), frame=np.tile(np.arange(FRAMES), 5))


@pytest.fixture(scope="module")
def width():
    return np.full(5 * FRAMES, 0.15)


@pytest.fixture(scope="module")
def in_picasso(tracks, width, tmp_path_factory):
    """Localizations and their description as Picasso loads them."""
    path = tmp_path_factory.mktemp("picasso") / "p.hdf5"
    exports.write_picasso(path, path.with_suffix(".yaml"), *exports.picasso(tracks, width, INFO))
    return picasso.io.load_locs(str(path))


def test_picasso_loads_places_brightness_and_uncertainties(in_picasso, tracks):
    locs, (about, *_) = in_picasso
    assert list(locs["frame"]) == list(tracks["frame"])
    for name, expected in {"x": tracks["x_um"] / PIXEL_UM, "y": tracks["y_um"] / PIXEL_UM, "z": 1000 * tracks["z_um"],
                           "photons": tracks["photons"], "lpx": tracks["sigma_x_um"] / PIXEL_UM}.items():  # fmt: skip
        np.testing.assert_allclose(locs[name], expected, rtol=ROUNDING, atol=1e-3 * ROUNDING)
    assert (about["Height"], about["Width"], about["Frames"]) == (*SHAPE, FRAMES)


def test_picasso_renders_every_localization(in_picasso):
    count, image = picasso.render.render(*in_picasso, disp_px_size=200 * PIXEL_UM)  # nm, a fifth of a pixel
    assert count == 5 * FRAMES and image.sum() == pytest.approx(count)
    assert image.shape == tuple(5 * n for n in SHAPE)


def test_picasso_imports_the_thunderstorm_table(tracks, width, tmp_path):
    path = tmp_path / "thunderstorm.csv"
    tables.write(exports.thunderstorm(tracks, width, Camera(), PIXEL_UM), path)
    locs, _ = picasso.io.import_ts(str(path), 1000 * PIXEL_UM)
    locs = locs.sort_values(["frame", "x"]).reset_index(drop=True)
    expected = tracks.sort_values(["frame", "x_um"]).reset_index(drop=True)
    np.testing.assert_array_equal(locs["photons"], np.floor(expected["photons"]))  # Picasso drops the rest
    # ThunderSTORM counts from the corner of the first pixel, half a pixel before its centre
    np.testing.assert_allclose(locs["x"] * PIXEL_UM, expected["x_um"] + PIXEL_UM / 2, atol=1e-5)
    np.testing.assert_allclose(locs["y"] * PIXEL_UM, expected["y_um"] + PIXEL_UM / 2, atol=1e-5)
    np.testing.assert_allclose(locs["z"], 1000 * expected["z_um"], atol=1e-2)


def test_napari_makes_a_layer_of_the_tracks(tracks, tmp_path):
    tables.write(exports.napari(tracks), tmp_path / "n.csv")
    layer = napari.layers.Tracks(pd.read_csv(tmp_path / "n.csv").to_numpy())
    assert len(np.unique(layer.data[:, 0])) == 5 and layer.ndim == 4
    one = layer.data[layer.data[:, 0] == 3]
    np.testing.assert_allclose(one[:, 2:], tracks.loc[tracks["particle"] == 3, ["z_um", "y_um", "x_um"]])
    assert list(one[:, 1]) == list(range(FRAMES))
