"""What other programs read from the exports is what the tables say, in the units that they expect."""

import xml.etree.ElementTree as ET

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from optics import gaussian_psf

from defocus3d import exports, tables
from defocus3d.camera import Camera

INFO = {"pixel_size_um": 0.1, "shape": [64, 48], "n_frames": 9}


@pytest.fixture
def good():
    rng = np.random.default_rng(2)
    table = pd.DataFrame({name: rng.uniform(0.5, 4.0, 20) for name in tables.LOCALIZATION_COLUMNS})
    return table.assign(frame=np.arange(20) // 3, background_e=20.0, flag=0)


@pytest.fixture
def tracks(good):
    return good.assign(particle=np.repeat([0, 1, 2, 3], 5), frame=np.tile([0, 1, 2, 4, 5], 4))


def test_the_width_is_that_of_a_gaussian_image():
    """Of the astigmatic Gaussian, the geometric mean of its widths in x and y; the knots lie a pixel apart, so to 2 %."""
    z = np.array([-0.8, 0.0, 0.5])
    expected = [np.sqrt(np.prod([0.15 * np.sqrt(1 + ((h - c) / 0.7) ** 2) for c in (0.2, -0.2)])) for h in z]
    np.testing.assert_allclose(exports.width_um(gaussian_psf(), z), expected, rtol=0.02)


def test_thunderstorm(good, tmp_path):
    tables.write(exports.thunderstorm(good, np.full(20, 0.15), Camera(read_noise_e=4.0), 0.1), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().startswith("id,frame,x [nm],y [nm],z [nm],sigma1 [nm],sigma2 [nm],intensity [photon],")
    read = pd.read_csv(tmp_path / "t.csv")
    assert list(read["frame"]) == list(good["frame"] + 1)
    np.testing.assert_allclose(read["x [nm]"], 1000 * good["x_um"] + 50)
    np.testing.assert_allclose(read["z [nm]"], 1000 * good["z_um"])
    np.testing.assert_allclose(read["uncertainty_z [nm]"], 1000 * good["sigma_z_um"])
    assert read["bkgstd [photon]"].iloc[0] == pytest.approx(6.0)  # 20 of the background and 16 of the read noise


def test_picasso(good, tmp_path):
    exports.write_picasso(tmp_path / "p.hdf5", tmp_path / "p.yaml", *exports.picasso(good, np.full(20, 0.15), INFO))
    with h5py.File(tmp_path / "p.hdf5") as file:
        locs = file["locs"][()]
    assert {"frame", "x", "y", "photons", "sx", "sy", "bg", "lpx", "lpy", "z"} <= set(locs.dtype.names)
    np.testing.assert_allclose(locs["x"] * 0.1, good["x_um"], rtol=1e-6)
    np.testing.assert_allclose(locs["z"] / 1000, good["z_um"], rtol=1e-6)
    np.testing.assert_allclose(locs["lpy"] * 0.1, good["sigma_y_um"], rtol=1e-6)
    (about,) = yaml.safe_load_all((tmp_path / "p.yaml").read_text())
    assert (about["Width"], about["Height"], about["Frames"], about["Pixelsize"]) == (48, 64, 9, 100)


def test_napari(tracks, tmp_path):
    tables.write(exports.napari(tracks), tmp_path / "n.csv")
    data = pd.read_csv(tmp_path / "n.csv").to_numpy()
    np.testing.assert_allclose(data, tracks[["particle", "frame", "z_um", "y_um", "x_um"]])


def test_trackmate(tracks, tmp_path):
    exports.trackmate_tracks(tracks, 0.02).write(tmp_path / "t.xml", encoding="utf-8", xml_declaration=True)
    root = ET.parse(tmp_path / "t.xml").getroot()
    assert root.tag == "Tracks" and root.get("nTracks") == "4" and float(root.get("frameInterval")) == 0.02
    read = [(k, *(float(spot.get(key)) for key in "txyz")) for k, particle in enumerate(root) for spot in particle]
    np.testing.assert_array_equal(read, tracks[["particle", "frame", "x_um", "y_um", "z_um"]])
    assert [int(particle.get("nSpots")) for particle in root] == [5] * 4
    spots = exports.trackmate_spots(tracks, 0.02, 0.5)
    np.testing.assert_allclose(spots["POSITION_T"], 0.02 * tracks["frame"])
    assert (spots["RADIUS"] == 0.25).all()


def test_a_movie_without_beads_gives_files_without_rows(good, tracks, tmp_path):
    nothing, no_width = good.iloc[:0], np.empty(0)
    assert len(exports.thunderstorm(nothing, no_width, Camera(), 0.1)) == 0
    exports.write_picasso(tmp_path / "p.hdf5", tmp_path / "p.yaml", *exports.picasso(nothing, no_width, INFO))
    assert len(exports.napari(tracks.iloc[:0])) == 0
    assert len(exports.trackmate_tracks(tracks.iloc[:0], 0.02).getroot()) == 0
