"""Config and sheets become a complete analysis; bad ones become one message that says what to do."""

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml

from defocus3d import schemas, settings

ROOT = Path(__file__).parents[2]
STACK = {"optics": "water", "path": "data/stack.tif", "pixel_size_um": "0.1", "z_step_um": "0.1"}
MOVIE = {
    "acquisition": "one",
    "optics": "water",
    "path": "data/movie.tif",
    "frame_interval_s": "0.02",
    "exposure_s": "0.01",
    "bead_diameter_um": "0.5",
    "temperature_c": "25",
}


def planes(n, rows=16, columns=16):
    return np.zeros((n, rows, columns), np.uint16)


def write_sheet(path, rows):
    """A sheet of the rows' columns, in the order in which they come."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    path.write_text("\n".join("\t".join(cells) for cells in [columns, *([row.get(c, "") for c in columns] for row in rows)]) + "\n")


class Folder:
    """A working directory with a sound stack, movie and sheets, for a test to spoil."""

    def __init__(self, path: Path):
        self.path, self.config = path, {}
        (path / "config").mkdir()
        (path / "data").mkdir()
        self.image("stack.tif", planes(31))
        self.image("movie.tif", planes(5))
        self.stacks({})
        self.movies({})

    def image(self, name, array, **options):
        tifffile.imwrite(self.path / "data" / name, array, **{"photometric": "minisblack", **options})

    def stacks(self, *changes):
        write_sheet(self.path / "config" / "bead_stacks.tsv", [without_none({**STACK, **change}) for change in changes])

    def movies(self, *changes):
        write_sheet(self.path / "config" / "acquisitions.tsv", [without_none({**MOVIE, **change}) for change in changes])

    def check(self, made_by_rules=lambda path: False):
        return settings.check(self.config, self.path, made_by_rules)


def without_none(row):
    return {column: cell for column, cell in row.items() if cell is not None}


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_defaults_are_filled_in(folder):
    analysis = folder.check()
    assert analysis.config["linking"] == {"search_range_um": "auto", "memory_frames": 1, "min_track_frames": 5}
    assert analysis.config["axial_range_um"] == "auto"
    (stack,) = analysis.stacks.to_dict("records")
    assert stack["z_direction"] == 1 and np.isnan(stack["bead_diameter_um"])
    movie = analysis.acquisitions.loc["one"]
    assert movie["pixel_size_um"] == 0.1 and movie["axial_scale"] == 1 and movie["temperature_sd_c"] == 0.5
    assert movie["bead_diameter_cv"] == 0.02 and np.isnan(movie["viscosity_pa_s"])
    assert analysis.optics == ["water"] and analysis.pixel_size_um("water") == 0.1


def test_rows_become_plain_numbers(folder):
    """Snakemake writes params down and compares them: numpy's numbers would print differently."""
    analysis = folder.check()
    rows = analysis.stacks.to_dict("records") + analysis.acquisitions.reset_index().to_dict("records")
    assert {type(value) for row in rows for value in row.values()} == {str, int, float}


def test_a_sheets_camera_overrides_the_configs(folder):
    folder.config = {"camera": {"offset_adu": 50, "em_gain": 300}}
    folder.movies({}, {"acquisition": "two", "offset_adu": "7"})
    movies = folder.check().acquisitions
    assert list(movies["offset_adu"]) == [50, 7] and list(movies["em_gain"]) == [300, 300]
    assert list(movies["gain_e_per_adu"]) == [0.46, 0.46]


@pytest.mark.parametrize("preset", settings.PRESETS)
def test_a_preset_gives_what_the_config_does_not(folder, preset):
    folder.config = {"training": {"preset": preset, "scenes": 77}}
    training = folder.check().config["training"]
    assert training == {**training, **settings.PRESETS[preset], "scenes": 77, "preset": preset}
    assert None not in training.values()
    assert not schemas.errors(folder.check().config, schemas.load("config"))


@pytest.mark.parametrize("walls", [[], [-3.0], [2.0, -3.0]])
def test_walls_come_in_any_number_up_to_two_and_any_order(folder, walls):
    folder.config |= {"brownian": {"wall_z_um": walls}}
    assert folder.check().config["brownian"]["wall_z_um"] == walls


def test_a_section_without_keys_has_its_defaults(folder):
    folder.config = {"brownian": None, "training": {}}
    assert folder.check().config == settings.complete({})[0]


def test_the_config_given_is_left_as_it_is(folder):
    folder.config = {"camera": {"offset_adu": 5, "ofset": 2}, "linking": None}
    with pytest.raises(settings.InputErrors):
        folder.check()
    assert folder.config == {"camera": {"offset_adu": 5, "ofset": 2}, "linking": None}


def test_commented_rows_notes_and_other_separators(folder):
    path = folder.path / "config" / "acquisitions.csv"
    rows = [[*MOVIE, "note"], [*MOVIE.values(), '"good, really"'], [], ["# " + "x"], ["two", *list(MOVIE.values())[1:]]]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(",".join(row) for row in rows).encode())
    folder.config = {"acquisitions": "config/acquisitions.csv"}
    assert list(folder.check().acquisitions.index) == ["one", "two"]


def test_a_glob_is_a_stack(folder):
    for number, plane in enumerate(planes(31)):
        folder.image(f"z{number}.tif", plane)
    folder.stacks({"path": "data/z*.tif"})
    analysis = folder.check()
    assert analysis.files_of("data/z*.tif") == [f"data/z{number}.tif" for number in range(31)]
    assert analysis.files_of("data/movie.tif") == ["data/movie.tif"]


def test_files_that_a_rule_makes_may_be_absent_but_not_bad(folder):
    folder.movies({"path": "resources/demo.tif"}, {"acquisition": "two", "path": "resources/other.tif"})
    with pytest.raises(settings.InputErrors) as error:
        folder.check({"resources/demo.tif"}.__contains__)
    assert "other.tif" in str(error.value) and "demo.tif" not in str(error.value)
    (folder.path / "data" / "movie.tif").write_bytes(b"")
    folder.movies({})
    with pytest.raises(settings.InputErrors, match="is empty.*delete it to have it made again"):
        folder.check({"data/movie.tif"}.__contains__)


def spoil_config(**config):
    def spoil(folder):
        folder.config = config

    return spoil


def spoil_movies(*rows):
    return lambda folder: folder.movies(*rows)


def spoil_stacks(*rows):
    return lambda folder: folder.stacks(*rows)


def spoil_file(name, content):
    return lambda folder: (folder.path / name).write_bytes(content)


def spoil_image(name, array, **options):
    return lambda folder: folder.image(name, array, **options)


def cut(name, share):
    def spoil(folder):
        path = folder.path / "data" / name
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    return spoil


def remove(name):
    return lambda folder: (folder.path / name).unlink()


def planes_of_two_sizes(folder):
    with tifffile.TiffWriter(folder.path / "data" / "stack.tif") as tif:
        for plane in [*planes(20), *planes(11, 16, 24)]:
            tif.write(plane, photometric="minisblack")


def glob_of_two_sizes(folder):
    for number in range(31):
        folder.image(f"z{number:02}.tif", planes(1, 16, 24 if number == 7 else 16)[0])
    folder.stacks({"path": "data/z*.tif"})


def glob_of_stacks(folder):
    folder.image("more_stack.tif", planes(31))
    folder.stacks({"path": "data/*stack.tif"})


def glob_of_anything(folder):
    for number in range(31):
        folder.image(f"z{number:02}.tif", planes(1)[0])
    (folder.path / "data" / "z_readme.txt").write_text("these are my planes")
    folder.stacks({"path": "data/z*"})


def unreadable_compression(folder):
    """LZW, as its tag says: no reader for it is installed with the workflow."""
    path = folder.path / "data" / "movie.tif"
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        tag = tif.pages.first.tags["Compression"]
        data[tag.valueoffset : tag.valueoffset + 2] = (5).to_bytes(2, "little")
    path.write_bytes(data)


STACKS, MOVIES = "config/bead_stacks.tsv", "config/acquisitions.tsv"
BAD = {
    # the config
    "misspelt key": (spoil_config(trainign={"seed": 2}), "config, key trainign", "did you mean `training`"),
    "misspelt key below": (spoil_config(camera={"gain_e_per_adc": 1}), "config, key camera.gain_e_per_adc", "`gain_e_per_adu`"),
    "key in the wrong section": (spoil_config(refine="none"), "config, key refine", "`localization.refine`", "indentation"),
    "section too deep": (spoil_config(camera={"training": {}}), "config, key camera.training", "did you mean `training`", "indentation"),
    "unknown key": (spoil_config(zzz=1), "config, key zzz: unknown", "known are `bead_stacks`"),
    "key that is no text": (spoil_config(**{"camera": {True: 1}}), "config, key camera.True: unknown"),
    "a key without its unit": (spoil_config(camera={"gain": 0.5}), "config, key camera.gain", "did you mean `gain_e_per_adu`"),
    "text for a number": (spoil_config(training={"seed": "two"}), "config, key training.seed: `two` (text)", "a whole number at least 0"),
    "exponent that YAML takes for text": (
        spoil_config(training={"learning_rate": yaml.safe_load("1e-3")}), "training.learning_rate: `1e-3` is text to YAML", "write 0.001"),
    "the same in a range": (spoil_config(training={"photons": ["1e3", 20000]}), "training.photons: `1e3` is text to YAML", "write 1000"),
    "the same beside auto": (spoil_config(linking={"search_range_um": "5e-1"}), "linking.search_range_um: `5e-1` is text", "write 0.5"),
    "comma decimal in the config": (spoil_config(camera={"read_noise_e": "1,6"}), "camera.read_noise_e: `1,6` is text", "write 1.6"),
    "number out of range": (spoil_config(camera={"gain_e_per_adu": 0}), "camera.gain_e_per_adu: `0` is not allowed", "above 0"),
    "a program that nobody knows": (spoil_config(export=["imagej"]), "config, key export", "any of `thunderstorm`", "each once"),
    "more walls than two": (spoil_config(brownian={"wall_z_um": [0, 1, 2]}), "key brownian.wall_z_um", "at most 2 numbers"),
    "fraction for a whole number": (spoil_config(brownian={"bootstrap": 10.5}), "brownian.bootstrap: `10.5`", "a whole number"),
    "true for a number": (spoil_config(linking={"memory_frames": True}), "linking.memory_frames: `True`", "a whole number"),
    "NaN in the config": (spoil_config(camera={"offset_adu": float("nan")}), "camera.offset_adu: `nan`", "a number"),
    "infinity in the config": (spoil_config(axial_range_um=[-float("inf"), 1]), "axial_range_um", "two numbers [low, high]"),
    "unknown choice": (spoil_config(training={"preset": "fast"}), "training.preset: `fast`", "`quick` or `full`"),
    "full, and the demo's steps": (spoil_config(training={"preset": "full", "cnn_steps": 2000}), "training.cnn_steps: 2000", "take the line out"),
    "neither auto nor a range": (spoil_config(axial_range_um="automatic"), "axial_range_um: `automatic`", "`auto`, or two numbers"),
    "range the wrong way round": (spoil_config(axial_range_um=[1, -1]), "axial_range_um: `[1, -1]`", "low below high"),
    "the same in a section": (spoil_config(training={"photons": [9, 9]}), "training.photons: `[9, 9]`", "low below high"),
    "range of three": (spoil_config(training={"photons": [1, 2, 3]}), "training.photons", "two numbers"),
    "range in nanometres": (spoil_config(axial_range_um=[-1500, 1500]), "axial_range_um", "at most 100", "µm"),
    "empty value": (spoil_config(training={"seed": None}), "training.seed: is empty", "leave the key out"),
    "text for a section": (spoil_config(training="quick"), "config, key training: `quick`", "indented below it"),
    "list for a section": (spoil_config(linking=[1]), "config, key linking", "indented below it"),
    "nobody fills in what failed": (spoil_config(failed={"all": 1}), "config, key failed: `{'all': 1}` is not allowed"),
    "list where a range is": (spoil_config(axial_range_um=[[0, 1], 2]), "axial_range_um: `[[0, 1], 2]`", "two numbers"),
    "a program in place of a list": (spoil_config(export="napari"), "config, key export: `napari`", "a list of any of"),
    "digits without end": (spoil_config(training={"seed": 10**400}), "training.seed: `1000", "…`", "at most 4294967295"),
    "range that focus is far from": (spoil_config(axial_range_um=[5, 6]), "covers 3 µm (31 planes, 0.1 µm apart), less than axial_range_um, 5 to 6"),
    "path of no sense": (spoil_config(acquisitions="a\0b"), "config, key acquisitions", "is not allowed; give a text"),
    "folder of no sense": (spoil_config(data_folder="a\nb"), "config, key data_folder", "is not allowed; give a text"),
    "number for a path": (spoil_config(acquisitions=3), "config, key acquisitions: `3`"),
    # the sheets as such
    "no sheet": (remove(MOVIES), MOVIES, "no such sheet", "correct the path"),
    "folder for a sheet": (spoil_config(acquisitions="data"), "data: cannot be read", "name a tab-separated text file"),
    "empty sheet": (spoil_file(MOVIES, b"\n"), MOVIES, "is empty", "write a header"),
    "no acquisition": (spoil_file(MOVIES, "\t".join(MOVIE).encode()), MOVIES, "has no row", "add a row"),
    "no stack": (spoil_file(STACKS, "\t".join(STACK).encode()), STACKS, "has no row", "add a row"),
    "spreadsheet": (spoil_file(MOVIES, b"PK\x03\x04\xff\xfe\x00"), MOVIES, "no text in UTF-8", "save it"),
    "UTF-16": (spoil_file(MOVIES, "\t".join(MOVIE).encode("utf-16")), MOVIES, "no text in UTF-8", "save it"),
    "no header": (spoil_file(MOVIES, "\t".join(MOVIE.values()).encode()), MOVIES, "its first line names no column", "acquisition, optics, path"),
    "spaces": (spoil_file(MOVIES, (" ".join(MOVIE) + "\n" + " ".join(MOVIE.values())).encode()), MOVIES, "names no column", "separated by tabs"),
    "quotation mark": (spoil_file(MOVIES, ("\t".join(MOVIE) + '\n"' + "\t".join(MOVIE.values())).encode()), f"{MOVIES}, line 2: cannot be read", "mind quotation marks"),
    "cell without end": (spoil_file(MOVIES, ("\t".join([*MOVIE, "note"]) + "\n" + "\t".join([*MOVIE.values(), "x" * 200_000])).encode()),
        f"{MOVIES}, line 2: cannot be read", "save it again"),
    "the other sheet": (spoil_config(bead_stacks=MOVIES), "unknown column `exposure_s`", "column `z_step_um` is missing", "unknown column", "is missing"),
    "semicolons": (spoil_file(MOVIES, ";".join(MOVIE).encode()), MOVIES, "not separated by tabs"),
    "missing column": (spoil_movies({"exposure_s": None}), MOVIES, "column `exposure_s` is missing", "add it"),
    "misspelt required column": (spoil_stacks({"z_step_um": None, "z_step": "0.1"}), STACKS, "unknown column `z_step`; correct or remove it: did you mean `z_step_um`, in µm?"),
    "misspelt optional column": (spoil_movies({"axial_scal": "0.8"}), MOVIES, "unknown column `axial_scal`", "`axial_scale`"),
    "column twice": (spoil_file(STACKS, ("\t".join([*STACK, "optics"]) + "\n" + "\t".join([*STACK.values(), "a"])).encode()),
        STACKS, "column `optics` is there 2 times", "remove"),
    "too many cells": (spoil_file(STACKS, ("\t".join(STACK) + "\n" + "\t".join([*STACK.values(), "a"])).encode()), STACKS, "line 2", "has 5 cells"),
    # cells
    "empty cell": (spoil_movies({"temperature_c": ""}), f"{MOVIES}, line 2 (one), column temperature_c: is empty", "give a number"),
    "too few cells": (spoil_file(STACKS, ("\t".join(STACK) + "\nwater\tdata/stack.tif\t0.1").encode()), "line 2 (water), column z_step_um: is empty"),
    "text in a cell": (spoil_movies({"exposure_s": "10 ms"}), "line 2 (one), column exposure_s: `10 ms` is no number", "without its unit"),
    "NaN in a cell": (spoil_movies({"exposure_s": "NaN"}), "column exposure_s: `NaN` is no number"),
    "infinity in a cell": (spoil_movies({"viscosity_pa_s": "1e999"}), "column viscosity_pa_s: `1e999` is not allowed"),
    "comma decimal": (spoil_stacks({"pixel_size_um": "0,1"}), "line 2 (water), column pixel_size_um: `0,1` has a comma", "as in 0.1"),
    "thousands": (spoil_movies({"offset_adu": "1,000.5"}), "column offset_adu: `1,000.5` is no number", "without its unit"),
    "percent": (spoil_movies({"bead_diameter_cv": "2%"}), "column bead_diameter_cv: `2%` is no number", "without its unit"),
    "minus of a typesetter": (spoil_movies({"temperature_c": "\u22125"}), "column temperature_c: `\u22125` is no number"),
    "diameter in nm": (spoil_movies({"bead_diameter_um": "200"}), "column bead_diameter_um: `200` is not allowed", "at most 20", "µm"),
    "no electron is multiplied": (spoil_movies({"em_gain": "0"}), "column em_gain: `0` is not allowed", "at least 1"),
    "path with a control character": (spoil_movies({"path": "data/a\0b.tif"}), "line 2 (one), column path:", "is not allowed; give a text"),
    "path with a wildcard": (spoil_movies({"path": "data/movie {1}.tif"}), "line 2 (one), column path:", "is not allowed; give a text without braces"),
    "name too long": (spoil_movies({"acquisition": "a" * 300}), "line 2, column acquisition: `aaa", "…` is not allowed", "letters, digits"),
    "number with underscores": (spoil_movies({"exposure_s": "0.0_1"}), "`0.0_1` is no number"),
    "negative step": (spoil_stacks({"z_step_um": "-0.1"}), "column z_step_um: `-0.1` is not allowed", "above 0"),
    "pixel size in nm": (spoil_stacks({"pixel_size_um": "100"}), "column pixel_size_um: `100` is not allowed", "at most 10", "µm"),
    "direction of no sense": (spoil_stacks({"z_direction": "0"}), "column z_direction: `0`", "`1` or `-1`"),
    "kelvin": (spoil_movies({"temperature_c": "298"}), "column temperature_c: `298` is not allowed", "°C"),
    "frozen water": (spoil_movies({"temperature_c": "-5"}), "column temperature_c: water's viscosity", "give viscosity_pa_s"),
    "name that is no file name": (spoil_movies({"acquisition": "day 1/a"}), "column acquisition: `day 1/a` is not allowed", "letters, digits"),
    "name of dots": (spoil_movies({"acquisition": ".."}), "column acquisition: `..` is not allowed"),
    "optics that is no file name": (spoil_stacks({"optics": "NA 1.2"}), "column optics: `NA 1.2` is not allowed"),
    # between rows
    "duplicate name": (spoil_movies({}, {}), f"{MOVIES}, line 3 (one), column acquisition: duplicate name `one`, used in line 2", "of its own"),
    "names that differ in case": (spoil_movies({}, {"acquisition": "One"}), "`One` and `one` are one folder on some systems"),
    "stack twice": (spoil_stacks({}, {}), f"{STACKS}, line 3 (water): the same stack as in line 2", "remove"),
    "stack twice in other words": (spoil_stacks({}, {"path": "./data/stack.tif"}), f"{STACKS}, line 3 (water), column path:", "stack.tif is in line 2 already"),
    "pixel sizes of one optics": (spoil_stacks({}, {"path": "data/movie.tif", "pixel_size_um": "0.11"}), "line 3 (water)", "0.11 differs from 0.1 in line 2"),
    "optics without a stack": (spoil_movies({"optics": "watre"}), "column optics: `watre` has no bead stack", "did you mean `water`?"),
    "beads of one optics": (spoil_stacks({"bead_diameter_um": "0.5"}, {"path": "data/movie.tif", "bead_diameter_um": "0.2"}), "line 3 (water)", "column bead_diameter_um: 0.2 differs from 0.5 in line 2"),
    "movie's beads": (spoil_stacks({"bead_diameter_um": "0.2"}), "acquisitions.tsv", "column bead_diameter_um: 0.5 differs from 0.2 of the stacks", "leave the stacks' cell empty"),
    "movie's pixel size": (spoil_movies({"pixel_size_um": "0.12"}), "column pixel_size_um: 0.12 differs from 0.1 of its optics", "correct it"),
    "long exposure": (spoil_movies({"exposure_s": "0.03"}), "column exposure_s: 0.03 is longer than frame_interval_s, 0.02", "correct one"),
    # files
    "missing file": (remove("data/movie.tif"), f"{MOVIES}, line 2 (one), column path", "movie.tif: no such file", "correct the path"),
    "missing stack": (remove("data/stack.tif"), f"{STACKS}, line 2 (water), column path", "stack.tif: no such file"),
    "empty file": (spoil_file("data/movie.tif", b""), "movie.tif: is empty (0 bytes)", "copy or save it again"),
    "truncated movie": (cut("movie.tif", 0.6), "movie.tif: is truncated", "copy or save it again"),
    "truncated stack": (cut("stack.tif", 0.98), "stack.tif: is truncated"),
    "no TIFF": (spoil_file("data/movie.tif", b"\x89PNG\r\n\x1a\n" + bytes(100)), "movie.tif: is no TIFF file", "save it as"),
    "hardly a TIFF": (spoil_file("data/movie.tif", b"II*\0" + bytes(60)), "movie.tif: is truncated or damaged"),
    "TIFF of noise": (spoil_file("data/movie.tif", b"II*\0\x08\0\0\0" + bytes(range(256)) * 9), "movie.tif: is truncated or damaged"),
    "folder": (spoil_movies({"path": "config"}), "config: is a folder without TIFF files, and no OME-Zarr", "name the file itself"),
    "folder of movies": (spoil_movies({"path": "data"}), "movie.tif: holds 5 planes, but a glob or folder takes one TIFF per plane", "name this one file"),
    "path too long": (spoil_movies({"path": "a" * 300 + ".tif"}), "aaa.tif: cannot be opened (File name too long)"),
    "path in quotes": (spoil_movies({"path": "'data/movie.tif'"}), "'data/movie.tif': no such file", "correct the path"),
    "link to nowhere": (lambda folder: (remove("data/movie.tif")(folder), (folder.path / "data" / "movie.tif").symlink_to("nowhere.tif")), "movie.tif: no such file"),
    "link to itself": (lambda folder: (remove("data/movie.tif")(folder), (folder.path / "data" / "movie.tif").symlink_to("movie.tif")), "movie.tif: cannot be opened"),
    "complex numbers": (spoil_image("movie.tif", np.zeros((5, 16, 16), np.complex64)), "movie.tif: its pixels are complex64", "save it as a grey image"),
    "glob of folders too": (spoil_movies({"path": "*"}), "config: is a folder", "a glob of one TIFF per plane"),
    "glob of nothing": (spoil_movies({"path": "data/q*.tif"}), "data/q*.tif: matches no file", "correct the pattern"),
    "one plane only": (spoil_image("stack.tif", planes(1)[0]), "data/stack.tif: holds one plane only", "name the whole stack"),
    "few planes": (spoil_image("stack.tif", planes(3)), "data/stack.tif: holds 3 planes only", "at least 4"),
    "one frame only": (spoil_image("movie.tif", planes(1)[0]), "data/movie.tif: holds one plane only", "name the whole movie"),
    "RGB": (spoil_image("movie.tif", np.zeros((5, 16, 16, 3), np.uint8), photometric="rgb"), "movie.tif: is a colour (RGB) image", "save one channel"),
    "two channels": (spoil_image("movie.tif", np.zeros((5, 2, 16, 16), np.uint16), imagej=True, metadata={"axes": "TCYX"}),
        "movie.tif: has the axes T=5, C=2", "save one channel"),
    "z and time": (spoil_image("movie.tif", np.zeros((5, 6, 16, 16), np.uint16), metadata={"axes": "TZYX"}), "the axes T=5, Z=6", "along one axis"),
    "black and white": (spoil_image("movie.tif", np.zeros((5, 16, 16), bool)), "movie.tif: its pixels are bool", "save it as a grey image"),
    "unreadable compression": (unreadable_compression, "movie.tif: its compression, LZW, cannot be read", "save it uncompressed"),
    "planes of two sizes": (planes_of_two_sizes, "stack.tif: planes of different sizes: plane 1 is 16 × 16, plane 21 is 16 × 24", "save it with planes of one size"),
    "glob of two sizes": (glob_of_two_sizes, "z07.tif: its planes are 16 × 24 pixels", "narrow it"),
    "glob of stacks": (glob_of_stacks, "more_stack.tif: holds 31 planes, but a glob or folder takes one TIFF per plane", "its own row"),
    "glob with other files": (glob_of_anything, "z_readme.txt: is no TIFF file", "a glob must match TIFF files only"),
    # formats, and what files say of themselves; more in test_formats.py and test_metadata.py
    "file says another interval": (spoil_image("movie.tif", planes(5), imagej=True, metadata={"axes": "TYX", "finterval": 0.05}),
        f"{MOVIES}, line 2 (one), column frame_interval_s: 0.02, but data/movie.tif says 0.05", "file_metadata: ignore"),
    "nobody says the interval": (spoil_movies({"frame_interval_s": ""}), "column frame_interval_s: is empty, and data/movie.tif does not say it either"),
    "ignored, and empty": (lambda folder: (spoil_config(file_metadata="ignore")(folder), folder.stacks({"z_step_um": ""})),
        "column z_step_um: is empty, and file_metadata is `ignore`; give a number"),
    "file_metadata of no sense": (spoil_config(file_metadata=True), "config, key file_metadata: `True` is not allowed", "`check` or `ignore`"),
    "no ND2": (lambda folder: (spoil_file("data/movie.nd2", bytes(100))(folder), folder.movies({"path": "data/movie.nd2"})), "movie.nd2: is no ND2 file"),
    "Zarr without an image": (lambda folder: (spoil_file("data/.zgroup", b'{"zarr_format": 2}')(folder), folder.movies({"path": "data"})),
        "data: is a Zarr without the metadata of an OME-Zarr image"),
    "short stack": (spoil_config(axial_range_um=[-2, 2]), "data/stack.tif: covers 3 µm (31 planes, 0.1 µm apart), less than axial_range_um, -2 to 2", "narrow"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "words"), [(spoil, words) for spoil, *words in BAD.values()], ids=BAD)
def test_bad_input_is_refused_with_advice(folder, spoil, words, caplog):
    """One problem in, one message out, that has these words; nothing is printed by the libraries beneath."""
    spoil(folder)
    with pytest.raises(settings.InputErrors) as error:
        folder.check()
    message = str(error.value)
    for word in words:
        assert word in message, message
    others = [text for text in error.value.messages if not any(word in text for word in words)]
    assert not others or all("is missing (see the unknown column above)" in text for text in others), message
    assert len(message.splitlines()) == 1 + len(error.value.messages) and not caplog.messages


def test_all_problems_come_at_once(folder):
    folder.config = {"trainign": {}, "camera": {"em_gain": "x", "offset_adu": None}}
    folder.stacks({"z_step_um": "-1"})
    folder.movies({"exposure_s": "1"}, {"acquisition": "two", "path": "data/none.tif", "temperature_c": "warm"}, {"acquisition": "two"})
    with pytest.raises(settings.InputErrors) as error:
        folder.check()
    assert str(error.value).startswith("The input has 8 problems:\n- config, key")
    found = "\n".join(error.value.messages)
    for word in ("trainign", "em_gain", "offset_adu", "z_step_um", "exposure_s", "none.tif", "`warm`", "duplicate name `two`"):
        assert found.count(word) >= 1, word


def test_loading_finds_what_config_and_sheets_say_and_leaves_files_alone(folder):
    remove("data/movie.tif")(folder)
    analysis = settings.load_analysis(folder.config, folder.path)
    with pytest.raises(settings.InputErrors, match="no such file"):
        settings.check_files(analysis, lambda path: False)
    with pytest.raises(settings.InputErrors, match="camra"):
        settings.load_analysis({"camra": {}}, folder.path)


def test_a_thousand_movies_are_checked_in_seconds(folder):
    for number in range(1000):
        folder.image(f"m{number}.tif", planes(5), metadata=None)
    folder.movies(*({"acquisition": f"m{number}", "path": f"data/m{number}.tif"} for number in range(1000)))
    start = time.process_time()
    assert len(settings.load_analysis({}, folder.path).acquisitions) == 1000
    loaded = time.process_time()
    folder.check()
    assert loaded - start < 2 and time.process_time() - loaded < 6


def test_loading_imports_no_image_reader(folder):
    """Every job loads the analysis again."""
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT / "workflow")!r})
from defocus3d.settings import load_analysis
load_analysis({{}}, Path({str(folder.path)!r}))
print([name for name in ("tifffile", "nd2", "zarr", "scipy", "matplotlib", "skimage", "keras", "trackpy") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_shipped_config_is_sound(monkeypatch):
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    demo = {f"resources/demo/{name}.tif" for name in ("beads_a", "beads_b", "sparse", "dense", "dim")}
    analysis = settings.check(config, ROOT, demo.__contains__)
    assert analysis.config["axial_range_um"] == [-1.5, 1.5]
    assert {*analysis.stacks["path"], *analysis.acquisitions["path"]} == demo
    assert list(analysis.acquisitions.index) == ["sparse", "dense", "dim"] and analysis.optics == ["water_1p2"]


def test_the_readme_has_every_key_with_its_default():
    rows = dict(re.findall(r"^\| `([\w.]+)` \| ([^|]*) \|", (ROOT / "config" / "README.md").read_text().partition("## The sheets")[0], re.MULTILINE))
    documented = {}
    for name, rule in schemas.load("config")["properties"].items():
        documented |= {f"{name}.{key}": inner for key, inner in rule["properties"].items()} if "properties" in rule else {name: rule}
    assert set(rows) == set(documented)
    for key, rule in documented.items():
        preset = ", ".join(f"{name} `{values.get(key.rpartition('.')[2])}`" for name, values in settings.PRESETS.items())
        assert rows[key] == (f"`{rule['default']}`" if "default" in rule else preset), key


@pytest.mark.parametrize("sheet", ["bead_stacks", "acquisitions"])
def test_the_readme_has_every_column(sheet):
    section = (ROOT / "config" / "README.md").read_text().partition(f"### {sheet}.tsv")[2].partition("###")[0]
    schema = schemas.load(sheet)
    for column, rule in schema["properties"].items():
        default = f"`{rule['default']}`" if "default" in rule else "required" if column in schema["required"] else ""
        assert re.search(rf"^\|[^|]*`{column}`[^|]*\| {re.escape(default)}", section, re.MULTILINE), column


@pytest.mark.parametrize("sheet", ["bead_stacks", "acquisitions"])
def test_camera_columns_have_the_rules_of_the_configs_camera(sheet):
    camera = schemas.load("config")["properties"]["camera"]["properties"]
    columns = schemas.load(sheet)["properties"]
    for name, rule in camera.items():
        assert columns[name] == {key: value for key, value in rule.items() if key != "default"}


def test_tables_without_optional_values_have_numbers_all_the_same(folder):
    analysis = folder.check()
    assert all(pd.api.types.is_float_dtype(analysis.acquisitions[column]) for column in ("viscosity_pa_s", "em_gain", "axial_scale"))
    assert pd.api.types.is_integer_dtype(analysis.stacks["z_direction"])
