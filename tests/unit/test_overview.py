"""The picture of the README says what the tables say."""

import numpy as np
from test_figures import BROWNIAN, PIXEL_UM, msd_table, rng, walks  # noqa: F401

from defocus3d.figures import overview


def test_frame_localizations_tracks_and_msd(walks):  # noqa: F811
    walks = walks.assign(frame=walks["frame"] + overview.FRAME)
    frame = np.random.default_rng(1).poisson(20, (150, 150))
    figure = overview.draw_overview(frame, walks.assign(flag=0), walks, msd_table(), BROWNIAN, PIXEL_UM)
    figure.draw_without_rendering()
    shown = [panel.get_title(loc) for panel in figure.axes for loc in ("left", "center") if panel.get_title(loc)]
    assert sorted(shown) == ["a frame of the movie", "does it move as it should?", "tracks", "x, y and z of each bead"]
    side_um = overview.SIDE_PX * PIXEL_UM
    here = walks[(walks["frame"] == overview.FRAME) & (walks["x_um"] < side_um) & (walks["y_um"] < side_um)]
    rings = next(panel for panel in figure.axes if panel.get_title("left") == "x, y and z of each bead").collections[0]
    np.testing.assert_allclose(np.sort(rings.get_offsets()[:, 0]), np.sort(here["x_um"]))
    words = " ".join(text.get_text() for panel in figure.axes for text in panel.texts)
    assert "D = 1.00 [0.95, 1.05] µm²/s" in words and "consistent" in words
