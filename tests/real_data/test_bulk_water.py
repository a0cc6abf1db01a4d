"""Linking and diffusion on a real movie: 1 µm beads in water, bright-field, 60 frames of trackpy's example.

Every 12th step is longer than the others, as in a compressed video with a key frame every 12 frames: in between, images follow the beads
with a delay, and steps correlate with each other over up to nine frames. Steps are then too short: D from them and their neighbours is
0.32, from the first points of the MSD 0.34 to 0.37; the MSD grows by 0.41 x 4 t from the eighth frame on. Neither the drift (1 % of D),
nor linking (0.1 to 0.4 % of false links), nor the search range (1 % from 5 to 9 pixels) has a part in it. The automatic search range, of
2.3 pixels, cuts the long steps of key frames.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from defocus3d import linking, search_range
from defocus3d.diffusion import Experiment, brownian_check

DATA = Path(os.environ.get("DEFOCUS3D_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data") / "bulk_water"
PIXEL_UM, INTERVAL_S = 100 / 285, 1 / 24
EXPECTED_UM2_S = (0.415, 0.02)  # 1 µm beads in water at room temperature
AXES = ("x", "y")

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="real movie not found: set DEFOCUS3D_SHARED_DATA to the folder that holds bulk_water"
)


@pytest.fixture(scope="module")
def localizations():
    import trackpy
    from skimage.io import imread

    trackpy.quiet()
    frames = [imread(path) for path in sorted(DATA.glob("*.png"))]
    frames = [np.uint8(frame if frame.ndim == 2 else frame[..., 0]) for frame in frames]
    found = trackpy.batch(frames, 11, minmass=20, invert=True, processes=1)
    found = found[(found["mass"] > 50) & (found["size"] < 2.6) & (found["ecc"] < 0.3)]
    table = pd.DataFrame({"frame": found["frame"].astype(int), "x_um": PIXEL_UM * found["x"], "y_um": PIXEL_UM * found["y"], "flag": 0})
    return table.reset_index(drop=True)


def without_drift(table, tracks):
    """`table` with the common motion of the beads in `tracks` taken off, frame by frame."""
    import trackpy

    drift = trackpy.compute_drift(tracks.rename(columns={"x_um": "x", "y_um": "y"}), pos_columns=["x", "y"])
    moved = drift.reindex(table["frame"]).fillna(0.0).to_numpy()
    return table.assign(x_um=table["x_um"] - moved[:, 0], y_um=table["y_um"] - moved[:, 1])


@pytest.mark.parametrize("range_px", ["auto", 5, 7, 9])
def test_diffusion_coefficient_of_micron_beads_in_water(localizations, range_px):
    setting = range_px if range_px == "auto" else range_px * PIXEL_UM
    range_um = search_range.resolve_range_um(setting, localizations, EXPECTED_UM2_S[0], INTERVAL_S, AXES)
    level = without_drift(localizations, linking.link_tracks(localizations, range_um, 1, 5, AXES))
    tracks = linking.link_tracks(level, range_um, 1, 5, AXES)
    experiment = Experiment(INTERVAL_S, INTERVAL_S, EXPECTED_UM2_S, {}, AXES)
    _, results = brownian_check(tracks, level, experiment, {"search_range_um": setting})
    low, high = results["D_um2_s"]["xy"]["ci95"]
    print(f"search range {range_px}: D {results['D_um2_s']}, {results['verdict']}, {results['reasons']}")
    assert low < EXPECTED_UM2_S[0] + 2 * EXPECTED_UM2_S[1] and high > EXPECTED_UM2_S[0] - 2 * EXPECTED_UM2_S[1]
    if range_px == "auto":  # cuts the long steps of key frames, and says so
        assert 0.33 < results["D_um2_s"]["xy"]["value"] < 0.46
        assert any("search range" in reason for reason in results["reasons"])
    else:
        assert 0.37 < results["D_um2_s"]["xy"]["value"] < 0.46
    assert results["verdict"] == "inconsistent"  # steps of such a video are not those of the beads, whatever D is
    assert any("positions lag behind" in reason for reason in results["reasons"])
