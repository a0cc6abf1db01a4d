"""The report's pages: verdicts with pictures, what fits, tracks on frames and in 3D."""

import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from defocus3d.figures import film, first_page, in_numbers, quality, style, viewer
from defocus3d.summary import summarize

PIXEL_UM = 0.1


@pytest.fixture
def tracks():
    """Two beads that walk along x, one high and one low."""
    frame = np.arange(12)
    walks = [pd.DataFrame({"frame": frame, "x_um": 1 + 0.2 * frame, "y_um": y, "z_um": z, "particle": k}) for k, (y, z) in enumerate([(1.0, -1.0), (4.0, 1.0)])]  # fmt: skip
    return pd.concat(walks, ignore_index=True)


def summary_of(*rows):
    table = summarize([])
    return pd.DataFrame([{**dict.fromkeys(table.columns, np.nan), "n_tracks": 3, "optics": "o", "reasons": "", **row} for row in rows])


def test_rings_are_where_the_beads_are_in_the_colour_of_their_height(tracks):
    images = np.full((12, 60, 60), 20.0)
    shown = film.window(0, 12, (60, 60))
    picture = np.asarray(film.draw_film(images, tracks, shown, PIXEL_UM, (-1, 1), 0.02)[5]).astype(int)
    scale = len(picture) // 60
    for y, colour in ((1.0, style.DEPTH(0.0)), (4.0, style.DEPTH(1.0))):
        drawn = np.argwhere(abs(picture - 255 * np.array(colour[:3])).sum(axis=2) < 12)
        middle = drawn[:, 0].mean() / scale - 0.5, drawn[:, 1].max() / scale - 0.5 - 3.2
        assert middle == pytest.approx((y / PIXEL_UM, (1 + 0.2 * 5) / PIXEL_UM), abs=1)


def test_of_a_large_image_the_middle_is_shown():
    frames, rows, columns = film.window(150, 200, (1000, 100))
    assert frames.stop <= 200 and frames.start <= 150
    assert (rows.start + rows.stop) / 2 == 500 and rows.stop - rows.start == film.MOST_PIXELS
    assert columns == slice(0, 100)


def test_the_film_has_a_picture_for_every_frame_and_runs_without_tracks(tracks):
    noise = np.random.default_rng(1).poisson(20, (8, 40, 40))
    shown = film.window(0, 8, (40, 40))
    pictures = film.draw_film(noise, tracks[:0], shown, PIXEL_UM, (-1, 1), 0.02)
    with Image.open(io.BytesIO(film.animated(pictures))) as image:
        assert image.n_frames == 8
    with Image.open(io.BytesIO(film.thumbnail(pictures[0]))) as image:
        assert max(image.size) <= 150


def test_the_page_of_tracks_holds_every_position_and_fetches_nothing(tracks):
    page = viewer.tracks_page(tracks, "beads & <more>")
    paths = json.loads(re.search(r"const tracks=(\[.*?\]),step", page)[1])
    for number, path in enumerate(paths):
        mine = tracks.loc[tracks["particle"] == number, ["x_um", "y_um", "z_um"]].to_numpy()
        np.testing.assert_allclose(np.reshape(path, (-1, 3)) * viewer.STEP_UM, mine, atol=viewer.STEP_UM / 2 + 1e-9)
    assert "beads &amp; &lt;more&gt;" in page
    assert not re.search(r"(src|href)=\"?(https?:)?//", page) and "@" not in page.replace("@media", "")


def test_a_movie_without_tracks_has_a_page_that_says_so(tracks):
    assert "no track was found" in viewer.tracks_page(tracks[:0], "empty")


def test_many_tracks_are_cut_to_the_longest():
    lengths = np.arange(1, 400)
    table = pd.DataFrame({"particle": np.repeat(lengths, lengths), "frame": np.concatenate([np.arange(n) for n in lengths])})
    page = viewer.tracks_page(table.assign(x_um=0.0, y_um=0.0, z_um=0.0), "many")
    paths = json.loads(re.search(r"const tracks=(\[.*?\]),step", page)[1])
    assert sum(map(len, paths)) / 3 <= viewer.MOST_POINTS
    assert max(map(len, paths)) / 3 == lengths.max()


def test_the_first_page_says_what_a_movie_was_not_trained_for():
    row = {"acquisition": "one", "verdict": "consistent", "warnings": "read noise of 4 & more"}
    page = first_page.verdicts(summary_of({**row, "reasons": ""}, {**row, "reasons": "flow"}), {})
    assert page.count("read noise of 4 &amp; more") == 2 and "flow; read noise" in page


def test_the_first_page_has_a_row_and_a_picture_for_each_acquisition():
    measured = {f"D_{axis}_{end}": value for axis in ("x", "y", "z", "xyz") for end, value in (("um2_s", 0.9), ("low", 0.8), ("high", 1.0))}
    rows = [
        {"acquisition": "a<b", "verdict": "consistent", "D_expected_um2_s": 1.0, "D_expected_sd": 0.02, **measured},
        {"acquisition": "empty", "verdict": "insufficient", "D_expected_um2_s": 1.0, "D_expected_sd": 0.02},
    ]
    rows.append({"acquisition": "damaged", "verdict": "failed", "reasons": "localize: no such plane"})
    page = first_page.verdicts(summary_of(*rows), {"a<b": b"one", "empty": b"two"})
    assert page.count("<img") == 2 and "a&lt;b" in page and "no such plane" in page
    assert "1 failed, 1 insufficient, 1 consistent" in page and "0.800 to 1.00<br>expected 1.00" in page and "not measured" in page
    assert "nan" not in page


def test_what_does_not_fit_is_left_out_and_what_needs_a_look_comes_first(tmp_path):
    names = [f"m{k}" for k in range(8)]
    for name in names:
        (tmp_path / "acquisitions" / name / "figures").mkdir(parents=True)
        (tmp_path / "acquisitions" / name / "figures" / "frame.png").write_bytes(b"0" * 2_000_000)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "verdicts.html").write_text("")
    verdicts = ["failed"] + ["consistent"] * 5 + ["inconsistent", "insufficient"]
    summary = summary_of(*({"acquisition": name, "verdict": verdict} for name, verdict in zip(names, verdicts)))
    shown = first_page.in_full(summary, tmp_path)
    assert shown == ["m6", "m7", "m1"]  # 2.67 MB each as text, of 10.5 MB


def test_flags_and_uncertainties_are_counted_bit_by_bit():
    rng = np.random.default_rng(2)
    table = pd.DataFrame({f"sigma_{axis}_um": rng.uniform(0.01, 0.1, 50) for axis in "xyz"})
    table = table.assign(frame=np.arange(50) % 10, flag=[0] * 30 + [1] * 10 + [3] * 10)
    figure = quality.draw_quality(table, 10, 0.1)
    labels = [text.get_text() for text in figure.axes[2].texts]
    assert labels[::-1] == ["30", "20", "10", "0", "0", "0"]
    assert figure.axes[0].lines[1].get_ydata().sum() == 30


def test_a_movie_without_localizations_has_a_picture_that_says_so():
    table = pd.DataFrame({"frame": [], "flag": []}, dtype=int)
    assert "no bead was found" in [text.get_text() for text in quality.draw_quality(table, 10, 0.1).axes[0].texts]


def test_heights_with_errors_far_above_the_bound_are_named():
    bins = {"bin_low": [-1.0, 0.0], "bin_high": [0.0, 1.0], "rmse_z_um": [0.05, 0.2], "crlb_z_um": [0.04, 0.04]}
    table = pd.DataFrame({"source": "scenes", "axis": "z_um", "stage": "thorough", **bins})
    words = in_numbers.ambiguous(table, "thorough")
    assert "+0.00 to +1.00 µm: 200 nm where 40 nm" in words and "50 nm" not in words
    assert in_numbers.ambiguous(table.assign(rmse_z_um=0.05), "thorough").startswith("Nowhere")
    assert in_numbers.ambiguous(table[:0], "thorough").startswith("Not known")
