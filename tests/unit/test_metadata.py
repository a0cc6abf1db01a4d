"""What a file says of itself fills empty cells of its row, and contradicts wrong ones."""

import json
import time

import numpy as np
import pytest
import tifffile
from test_settings import MOVIES, STACKS, Folder, planes

from defocus3d import metadata, settings

PIXEL_UM, STEP_UM, INTERVAL_S = 0.108, 0.2, 0.05
OPEN_STACK, OPEN_MOVIE = {"pixel_size_um": "", "z_step_um": ""}, {"frame_interval_s": ""}


@pytest.fixture
def folder(tmp_path):
    """The folder of test_settings, with files that say what they are."""
    folder = Folder(tmp_path)
    stated(folder, "stack.tif", 31, spacing=STEP_UM)
    stated(folder, "movie.tif", 5, finterval=INTERVAL_S)
    return folder


def stated(folder, name, n, pixel_um=PIXEL_UM, **said):
    folder.image(name, planes(n), imagej=True, resolution=(1 / pixel_um, 1 / pixel_um), metadata={"unit": "um", **said})


def problem(folder, count=1):
    with pytest.raises(settings.InputErrors) as error:
        folder.check()
    assert len(error.value.messages) == count, str(error.value)
    return str(error.value)


def test_empty_cells_take_what_the_file_says(folder):
    folder.stacks(OPEN_STACK)
    folder.movies(OPEN_MOVIE)
    analysis = folder.check()
    (stack,) = analysis.stacks.to_dict("records")
    assert stack["pixel_size_um"] == PIXEL_UM and stack["z_step_um"] == STEP_UM
    movie = analysis.acquisitions.loc["one"]
    assert movie["frame_interval_s"] == INTERVAL_S and movie["pixel_size_um"] == PIXEL_UM and movie["exposure_s"] == 0.01
    rows = analysis.stacks.to_dict("records") + analysis.acquisitions.reset_index().to_dict("records")
    assert {type(value) for row in rows for value in row.values()} == {str, int, float}
    assert analysis.from_files == {
        "data/stack.tif": {"pixel_size_um": PIXEL_UM, "z_step_um": STEP_UM},
        "data/movie.tif": {"frame_interval_s": INTERVAL_S},
    }
    assert metadata.in_words(analysis.from_files)[1] == "data/movie.tif: frame_interval_s 0.05"


def test_full_sheets_take_nothing_from_files(folder):
    folder.stacks({"pixel_size_um": "0.108", "z_step_um": "0.2"})
    folder.movies({"frame_interval_s": "0.05"})
    assert folder.check().from_files == {}


def test_words_of_many_files_are_few():
    lines = metadata.in_words({f"m{number}.tif": {"exposure_s": 0.01} for number in range(1000)})
    assert len(lines) == 6 and lines[-1].startswith("and of 995 more files")


def test_a_job_takes_what_the_main_process_found_and_opens_no_file(folder):
    folder.stacks(OPEN_STACK)
    folder.movies(OPEN_MOVIE)
    analysis = folder.check()
    for name in ("stack.tif", "movie.tif"):
        (folder.path / "data" / name).unlink()
    again = settings.load_analysis({}, folder.path, json.loads(json.dumps(analysis.from_files)))
    assert again.stacks.equals(analysis.stacks) and again.acquisitions.equals(analysis.acquisitions)
    with pytest.raises(settings.InputErrors, match="no such file"):
        settings.load_analysis({}, folder.path)


@pytest.mark.parametrize(
    ("stack", "movie", "words"),
    [
        ({"pixel_size_um": "0.11"}, {}, [f"{STACKS}, line 2 (water), column pixel_size_um: 0.11, but data/stack.tif says 0.108"]),
        ({"z_step_um": "0.25"}, {}, [f"{STACKS}, line 2 (water), column z_step_um: 0.25, but data/stack.tif says 0.2"]),
        ({}, {"frame_interval_s": "0.02"}, [f"{MOVIES}, line 2 (one), column frame_interval_s: 0.02, but data/movie.tif says 0.05"]),
    ],
)  # fmt: skip
def test_what_a_file_contradicts_is_an_error_with_both_values(folder, stack, movie, words):
    folder.stacks({"pixel_size_um": "0.108", "z_step_um": "0.2", **stack})
    folder.movies({"frame_interval_s": "0.05", **movie})
    if "pixel_size_um" in stack:
        folder.image("movie.tif", planes(5))
    message = problem(folder)
    for word in [*words, "correct the sheet, or, if the file is wrong, set `file_metadata: ignore`"]:
        assert word in message, message
    folder.config = {"file_metadata": "ignore"}
    assert folder.check().from_files == {}


@pytest.mark.parametrize(
    ("stack", "movie"),
    [
        ({"pixel_size_um": "0.1085"}, {}),
        ({"z_step_um": "0.2015"}, {}),
        ({}, {"frame_interval_s": "0.0505"}),
    ],
)
def test_rounding_is_no_contradiction_and_the_sheet_counts(folder, stack, movie):
    folder.stacks({"pixel_size_um": "0.108", "z_step_um": "0.2", **stack})
    folder.movies({"frame_interval_s": "0.05", **movie})
    analysis = folder.check()
    assert analysis.pixel_size_um("water") == float(stack.get("pixel_size_um", "0.108"))
    assert analysis.acquisitions.at["one", "frame_interval_s"] == float(movie.get("frame_interval_s", "0.05"))


def test_a_movie_with_other_pixels_than_its_optics_is_an_error(folder):
    """Its cell is empty, so that it would get the optics' size."""
    folder.stacks(OPEN_STACK)
    stated(folder, "movie.tif", 5, pixel_um=0.216, finterval=INTERVAL_S)
    folder.movies(OPEN_MOVIE)
    message = problem(folder)
    assert "line 2 (one), column pixel_size_um: empty, so that of its optics `water`, 0.108, but data/movie.tif says 0.216" in message


def test_stacks_of_one_optics_get_one_pixel_size(folder):
    stated(folder, "more.tif", 31, pixel_um=PIXEL_UM * 1.0003, spacing=STEP_UM)
    folder.stacks(OPEN_STACK, {**OPEN_STACK, "path": "data/more.tif"})
    folder.movies(OPEN_MOVIE)
    assert list(folder.check().stacks["pixel_size_um"]) == [PIXEL_UM, PIXEL_UM]
    stated(folder, "more.tif", 31, pixel_um=PIXEL_UM * 1.03, spacing=STEP_UM)
    assert "line 3 (water), column pixel_size_um: 0.11124 differs from 0.108 in line 2" in problem(folder)


@pytest.mark.parametrize(
    ("column", "sheet"), [("pixel_size_um", STACKS), ("z_step_um", STACKS), ("frame_interval_s", MOVIES), ("exposure_s", MOVIES)]
)
def test_what_neither_says_is_an_error(folder, column, sheet):
    for name in ("stack.tif", "movie.tif"):
        folder.image(name, planes(31))
    (folder.stacks if sheet == STACKS else folder.movies)({column: ""})
    name = "movie" if sheet == MOVIES else "stack"
    message = problem(folder)
    assert f"{sheet}, line 2" in message and f"column {column}: is empty, and data/{name}.tif does not say it either; give a number" in message


def test_an_ignored_file_fills_nothing(folder):
    folder.config = {"file_metadata": "ignore"}
    folder.movies(OPEN_MOVIE)
    assert "column frame_interval_s: is empty, and file_metadata is `ignore`; give a number" in problem(folder)


def test_what_a_file_says_is_checked_like_a_cell(folder):
    """An exposure in the sheet that is longer than the interval of the file."""
    folder.stacks(OPEN_STACK)
    folder.movies({**OPEN_MOVIE, "exposure_s": "0.06"})
    assert "column exposure_s: 0.06 is longer than frame_interval_s, 0.05" in problem(folder)


def test_a_damaged_file_with_an_open_row_is_one_problem(folder):
    (folder.path / "data" / "movie.tif").write_bytes(b"II*\0" + bytes(60))
    folder.stacks(OPEN_STACK)
    folder.movies(OPEN_MOVIE)
    assert "movie.tif: is truncated or damaged" in problem(folder)


def test_the_short_stack_is_found_with_the_files_step(folder):
    folder.config = {"axial_range_um": [-4, 4]}
    folder.stacks(OPEN_STACK)
    folder.movies(OPEN_MOVIE)
    assert "data/stack.tif: covers 6 µm (31 planes, 0.2 µm apart), less than axial_range_um" in problem(folder)


def test_headers_are_read_once(folder, monkeypatch):
    opened = []
    original = tifffile.TiffFile.__init__
    monkeypatch.setattr(tifffile.TiffFile, "__init__", lambda self, path, *a, **k: (opened.append(str(path)), original(self, path, *a, **k))[1])
    folder.stacks(OPEN_STACK)
    folder.movies(OPEN_MOVIE, {**OPEN_MOVIE, "acquisition": "two"})
    folder.check()
    assert len(opened) == len(set(opened)) == 2


def test_a_thousand_open_rows_are_no_slower_than_full_ones(folder):
    folder.stacks(OPEN_STACK)
    for number in range(1000):
        stated(folder, f"m{number}.tif", 5, finterval=INTERVAL_S)
    folder.movies(*({**OPEN_MOVIE, "acquisition": f"m{number}", "path": f"data/m{number}.tif"} for number in range(1000)))
    start = time.process_time()
    analysis = folder.check()
    assert time.process_time() - start < 8
    start = time.process_time()
    settings.load_analysis({}, folder.path, analysis.from_files)
    assert time.process_time() - start < 2
    assert np.allclose(analysis.acquisitions["frame_interval_s"], INTERVAL_S)
