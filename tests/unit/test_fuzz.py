"""Whatever is given as config, sheet or image file is either accepted, and then is what the schemas allow, or refused in words for its user.

Hypothesis draws the input, the same at each run.
"""

import io
import shutil

import hypothesis
import numpy as np
import pytest
import tifffile
import yaml
from hypothesis import strategies as st
from nd2_file import write_nd2
from test_formats import write_zarr
from test_settings import MOVIE, STACK, Folder

from defocus3d import config_text, schemas, settings
from defocus3d.camera import Camera
from defocus3d.frames import InputError, open_frames


def bounded(examples):
    return hypothesis.settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )


def known_keys(schema):
    for key, rule in schema.get("properties", {}).items():
        yield key
        yield from known_keys(rule)


KEYS = sorted(set(known_keys(schemas.load("config"))))
NUMBERS = st.one_of(st.integers(-3, 9), st.integers(), st.floats(), st.floats(-2, 2))
ODD = st.sampled_from(["auto", "mle", "full", "1e-3", "0,5", "NaN", "", "-", "é", "\x00", "\u2028", "a\nb", "x" * 300, "../..", "*", "data"])
TEXTS = st.one_of(ODD, st.text(max_size=8))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, st.dates())


def nested(inner):
    return st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=2))


VALUES = st.recursive(SCALARS, nested, max_leaves=6)
PAIRS = st.lists(st.one_of(st.integers(-1, 9), st.floats(0.01, 90)), min_size=2, max_size=2)


def right(rule):
    """A few keys, most of them with values of the kind that the rule wants, within its limits or just beyond."""
    if "properties" in rule:
        pairs = [st.tuples(st.just(key), right(inner)) for key, inner in rule["properties"].items()]
        return st.lists(st.one_of(pairs), max_size=3).map(dict)
    if "default" in rule:
        limits = [rule[word] + more for word in ("minimum", "maximum") if word in rule for more in (0, 0, 1)]
        return st.one_of(st.sampled_from([rule["default"], *rule.get("enum", []), *limits]), st.floats(0.02, 0.4), PAIRS, VALUES)
    return st.one_of(st.integers(50, 100), NUMBERS)


ANY_KEYS = st.one_of(st.sampled_from(KEYS), TEXTS, st.integers())
CONFIGS = st.one_of(right(schemas.load("config")), st.dictionaries(ANY_KEYS, VALUES, max_size=4), VALUES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return Folder(tmp_path_factory.mktemp("fuzz"))


def accepted(folder, config):
    """The analysis, or None where it was refused, in messages of one line each."""
    try:
        return settings.check(config, folder.path, lambda path: False)
    except settings.InputErrors as error:
        assert error.messages and all(message.strip() for message in error.messages)
        assert len(str(error).splitlines()) == 1 + len(error.messages), str(error)
        return None


@bounded(1000)
@hypothesis.given(config=CONFIGS)
def test_configs(folder, config):
    analysis = accepted(folder, config)
    if analysis is not None:
        assert schemas.errors(analysis.config, schemas.load("config")) == []
        ranges = [analysis.config["training"][key] for key in ("photons", "background_e", "density_per_um2")]
        assert all(pair == "auto" or pair[0] < pair[1] for pair in [analysis.config["axial_range_um"], *ranges])


@bounded(300)
@hypothesis.given(content=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
                                    CONFIGS.map(lambda config: yaml.safe_dump(config).encode())))  # fmt: skip
def test_texts_of_configs(folder, content):
    """What passes is a mapping to YAML too, as Snakemake reads it."""
    path = folder.path / "any.yaml"
    path.write_bytes(content)
    problems = config_text.problems(path)
    assert all("any.yaml" in problem for problem in problems)
    assert problems or isinstance(yaml.safe_load(content), dict)


CELLS = st.one_of(NUMBERS.map(repr), TEXTS, st.sampled_from(["one", "water", "data/stack.tif", "data/*.tif", "0.02", "25", "1e999", '"', "#"]))
MORE_COLUMNS = st.sampled_from(["note", "axial_scale", "z_direction", "em_gain", "pixel_size_um", "optics"])
SELDOM = st.sampled_from([False] * 29 + [True])


@st.composite
def sheets(draw, good, most):
    """Text of a sheet: columns and cells of a good row, some of them spoilt."""
    columns = [draw(TEXTS) if draw(SELDOM) else column for column in good]
    columns += draw(st.lists(st.one_of(TEXTS, MORE_COLUMNS), max_size=1))
    rows = [columns]
    for _ in range(draw(st.integers(0, most))):
        own = {**good, "acquisition": f"movie_{len(rows)}"}
        cells = [draw(CELLS) if draw(SELDOM) else own.get(column, "") for column in columns]
        rows.append(cells[: draw(st.integers(0, 9))] if draw(SELDOM) else cells)
    return draw(st.sampled_from(["\n", "\r\n", "\n\n"])).join("\t".join(row) for row in rows)


@bounded(400)
@hypothesis.given(stacks=st.one_of(st.just(None), sheets(STACK, 2)), movies=st.one_of(sheets(MOVIE, 3), sheets(MOVIE, 1), st.text(max_size=40)))
def test_sheets(folder, stacks, movies):
    folder.stacks({})
    if stacks is not None:
        (folder.path / "config" / "bead_stacks.tsv").write_text(stacks, encoding="utf-8", errors="surrogatepass", newline="")
    (folder.path / "config" / "acquisitions.tsv").write_text(movies, encoding="utf-8", errors="surrogatepass", newline="")
    analysis = accepted(folder, {})
    if analysis is not None:
        for table, schema in ((analysis.stacks, "bead_stacks"), (analysis.acquisitions.reset_index(), "acquisitions")):
            for row in table.to_dict("records"):
                known = {column: value for column, value in row.items() if value == value}
                assert schemas.errors(known, schemas.load(schema)) == []
        assert set(analysis.acquisitions["optics"]) <= {*analysis.stacks["optics"], *analysis.trained.index}


PLANES = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
KINDS = {
    "plain": {"metadata": None},
    "ImageJ": {"imagej": True, "metadata": {"axes": "TYX"}},
    "BigTIFF": {"bigtiff": True},
    "deflated": {"compression": "zlib", "metadata": None},
    "tiled": {"tile": (16, 16)},
}


def written(options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, PLANES, photometric="minisblack", **options)
    return file.getvalue()


TIFFS = [written(options) for options in KINDS.values()]


@st.composite
def damaged(draw, files, start=400):
    """One of the files, cut short or with a few bytes changed, most of them in its beginning, and whether it was cut."""
    data = bytearray(draw(st.sampled_from(files)))
    if draw(st.booleans()):
        return bytes(data[: draw(st.integers(0, len(data) - 1))]), True
    return changed(draw, data, range(min(start, len(data)))), False


def changed(draw, data, most):
    """The data with one to four bytes changed, most of them at the places `most`."""
    for _ in range(draw(st.integers(1, 4))):
        data[draw(st.one_of(st.integers(0, len(data) - 1), st.sampled_from(most)))] = draw(st.integers(0, 255))
    return bytes(data)


def read_or_refused(path, is_cut):
    """A file that is cut is never taken for a shorter movie; what is refused, is so in one line that names the file."""
    try:
        with open_frames(path, Camera()) as frames:
            read = frames.read(0, len(frames))
            assert read.shape == (len(frames), *frames.shape) and np.isfinite(read).all()
            assert not is_cut or len(read) == len(PLANES)
    except InputError as error:
        assert path.name in str(error) and len(str(error).splitlines()) == 1


@bounded(1000)
@hypothesis.given(tiff=damaged(TIFFS))
def test_damaged_tiffs(folder, tiff):
    content, is_cut = tiff
    path = folder.path / "data" / "damaged.tif"
    path.write_bytes(content)
    read_or_refused(path, is_cut)


@pytest.fixture(scope="module")
def nd2s(folder):
    """Small ND2 files, and in each the places of bytes that are not padding."""
    files = []
    for options in ({"exposure": "10 ms"}, {"loop": "Z"}, {"compressed": True}):
        write_nd2(folder.path / "whole.nd2", PLANES, **options)
        content = (folder.path / "whole.nd2").read_bytes()
        files.append((content, [place for place, byte in enumerate(content) if byte]))
    return files


@bounded(500)
@hypothesis.given(data=st.data())
def test_damaged_nd2s(folder, nd2s, data):
    content, most = data.draw(st.sampled_from(nd2s))
    is_cut = data.draw(st.booleans())
    path = folder.path / "data" / "damaged.nd2"
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))] if is_cut else changed(data.draw, bytearray(content), most))
    read_or_refused(path, is_cut)


@pytest.fixture(scope="module")
def zarrs(folder):
    """The files of small OME-Zarr folders, by their path below it."""
    stores = []
    for options in ({}, {"version": 2}, {"compressors": None}, {"chunks": (1, 6, 7), "shards": (2, 6, 7)}):
        path = folder.path / "whole.zarr"
        write_zarr(path, PLANES, **{"chunks": (2, 6, 7), **options})
        stores.append({file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()})
        shutil.rmtree(path)
    return stores


@bounded(500)
@hypothesis.given(data=st.data())
def test_damaged_zarrs(folder, zarrs, data):
    """One file of the folder is cut, changed or gone."""
    store = dict(data.draw(st.sampled_from(zarrs)))
    name = data.draw(st.sampled_from(sorted(store)))
    content, what = store.pop(name), data.draw(st.sampled_from(["cut", "gone", "changed"]))
    if what == "cut":
        store[name] = content[: data.draw(st.integers(0, len(content) - 1))]
    if what == "changed":
        store[name] = changed(data.draw, bytearray(content), range(len(content)))
    path = folder.path / "data" / "damaged.zarr"
    shutil.rmtree(path, ignore_errors=True)
    for part, written_bytes in store.items():
        (path / part).parent.mkdir(parents=True, exist_ok=True)
        (path / part).write_bytes(written_bytes)
    read_or_refused(path, what != "changed")
