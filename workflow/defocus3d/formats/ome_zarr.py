"""OME-Zarr: NGFF 0.4 on Zarr 2 and NGFF 0.5 on Zarr 3, one image of it at full resolution; or a bare Zarr array."""

import json
import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np

from defocus3d.errors import InputError
from defocus3d.formats import units
from defocus3d.formats.source import Source, check_grey, in_a_line, largest, planes_along, truncated

MARKS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")  # files that make a folder a Zarr
# what may be run on a chunk's bytes; others might do more than decode: `pickle` runs what it finds
CODECS = {"blosc", "zlib", "gzip", "zstd", "lz4", "bz2", "lzma", "delta", "shuffle", "bytes", "transpose", "crc32c", "sharding_indexed"}
BLOSC_HEADER = struct.Struct("<4BIII")  # versions, flags, size of an item; bytes in all, in a block, and compressed


@dataclass
class ZarrSource(Source):
    """Planes of a Zarr array along one of its axes."""

    array: object
    folder: Path  # of the array
    axis: int  # of the planes
    blosc: bool  # whether a chunk's file is what Blosc wrote

    def read(self, start: int, stop: int) -> np.ndarray:
        """Planes `start` to `stop` - 1; decodes no chunk but theirs."""
        self._check(start, stop)
        place = [0] * (self.array.ndim - 2) + [slice(None), slice(None)]
        if self.array.ndim > 2:
            place[self.axis] = slice(start, stop)
        return self.array[tuple(place)]

    def _check(self, start: int, stop: int) -> None:
        """Raises ValueError where a chunk is not as long as Blosc says in its head, for Blosc itself would read on beyond the end."""
        if not self.blosc:
            return
        for file in _chunk_files(self.array, self.folder, {self.axis: (start, stop)} if self.array.ndim > 2 else {}):
            with open(file, "rb") as opened:
                head = opened.read(BLOSC_HEADER.size)
            if len(head) < BLOSC_HEADER.size or BLOSC_HEADER.unpack(head)[-1] != file.stat().st_size:
                raise ValueError(f"chunk {file.relative_to(self.folder)} is cut")


@dataclass
class _Image:
    """Where the array of an image is, and what its multiscales metadata say of its axes."""

    folder: Path
    axes: list[str] | None = None
    units: list[str | None] = field(default_factory=list)
    scale: list[float] = field(default_factory=list)


def is_zarr(path: Path) -> bool:
    """Whether a path is a folder that holds a Zarr group or array."""
    return os.path.isdir(path) and any((path / mark).is_file() for mark in MARKS)  # isdir: false for a name that is too long


def open_zarr(path: Path) -> ZarrSource:
    """The planes of an OME-Zarr, read chunk by chunk.

    Raises InputError where the metadata cannot be understood, chunks are missing, or there is more than planes along one axis.
    """
    try:
        image = _image(path, _attributes(path))
        about = _json(image.folder / "zarr.json") or _json(image.folder / ".zarray")
        array = _array(image.folder, about, path)
        return _source(path, image, array, blosc=_codecs(about)[-1:] == ["blosc"])
    except InputError:
        raise
    except Exception as error:  # damaged metadata can make the parser raise anything
        raise InputError(f"{path}: cannot be read as OME-Zarr ({in_a_line(error)}); copy or export it again") from error


def _source(path: Path, image: _Image, array, blosc: bool) -> ZarrSource:
    check_grey(array.dtype, path)
    if array.ndim < 2:
        raise InputError(f"{path}: its array has {array.ndim} axis only; export the planes as an image")
    names = [name.upper() for name in image.axes or [*map(str, range(array.ndim - 2)), "y", "x"]]
    if len(names) != array.ndim or names[-2:] != ["Y", "X"]:
        raise InputError(f"{path}: its axes are {', '.join(names)} of {array.ndim}; the last two have to be y and x")
    n_planes = planes_along(dict(zip(names[:-2], array.shape, strict=False)), path)
    long = [axis for axis, n in enumerate(array.shape[:-2]) if n > 1]
    if 0 in array.shape:
        raise InputError(f"{path}: is empty: its array has no pixel; copy or export it again")
    for file in _chunk_files(array, image.folder):
        if not file.is_file():  # Zarr would read it as zeros, which no camera counts
            raise InputError(f"{truncated(path)} (chunk {file.relative_to(image.folder)} is missing)")
    shape = tuple(int(n) for n in array.shape[-2:])
    about = (path, int(n_planes), shape, array.dtype, largest(array.dtype))
    return ZarrSource(*about, array, image.folder, (long or [0])[0], blosc, metadata=_metadata(image, names))


def _json(path: Path) -> dict:
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is no mapping")
    return content


def _attributes(folder: Path) -> dict:
    """A group's or array's attributes; those of OME-Zarr 0.5 are one level deeper."""
    found = _json(folder / "zarr.json").get("attributes") or _json(folder / ".zattrs")
    return found.get("ome", found)


def _image(path: Path, attributes: dict) -> _Image:
    if "plate" in attributes or "well" in attributes:
        raise InputError(f"{path}: is a plate of many images; name one of them, such as {path}/A/1/0")
    if "bioformats2raw.layout" in attributes and "multiscales" not in attributes:
        parts = sorted(part.name for part in path.iterdir() if part.name.isdigit() and is_zarr(part))
        if len(parts) != 1:
            raise InputError(f"{path}: holds {len(parts)} images; name one of them, such as {path}/{(parts or ['0'])[0]}")
        return _image(path / parts[0], _attributes(path / parts[0]))
    if "multiscales" not in attributes:
        if (path / ".zarray").is_file() or _json(path / "zarr.json").get("node_type") == "array":
            return _Image(path)
        raise InputError(f"{path}: is a Zarr without the metadata of an OME-Zarr image; name the image in it, or export it as OME-Zarr")
    (multiscale, *more) = attributes["multiscales"]
    if more:
        raise InputError(f"{path}: holds {1 + len(more)} images; save the stack or movie alone")
    full = multiscale["datasets"][0]
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in multiscale["axes"]]
    steps = [*full.get("coordinateTransformations", []), *multiscale.get("coordinateTransformations", [])]
    scales = [step["scale"] for step in steps if step["type"] == "scale"]
    folder = path / full["path"]
    if path.resolve() not in [folder.resolve(), *folder.resolve().parents]:
        raise InputError(f"{path}: its metadata name an array outside of it, {full['path']}; export it again")
    return _Image(
        folder,
        [axis["name"] for axis in axes],
        [axis.get("unit") for axis in axes],
        [math.prod(float(scale[i]) for scale in scales) for i in range(len(axes))],
    )


def _array(folder: Path, about: dict, path: Path):
    """The array, opened, after a look at the codecs in its metadata, `about`."""
    if not about:
        raise InputError(f"{path}: its array {folder.name} is missing; copy or export it again")
    for codec in _codecs(about):
        if codec not in CODECS:
            raise InputError(f"{path}: its compression, {codec}, cannot be read here; export it with Blosc, Zstandard or none")
    import zarr  # not at the top: a run without OME-Zarr does without it

    return zarr.open_array(zarr.storage.LocalStore(folder, read_only=True), mode="r")


def _codecs(about: dict) -> list[str]:
    """Names of all codecs in an array's metadata, nested ones included."""
    given = [*(about.get("codecs") or []), *(about.get("filters") or []), about.get("compressor")]
    names = []
    for codec in filter(None, given):
        inner = codec.get("configuration") or {}
        names += [str(codec.get("name", codec.get("id"))), *_codecs({"codecs": [*inner.get("codecs", []), *inner.get("index_codecs", [])]})]
    return names


def _chunk_files(array, folder: Path, within: dict[int, tuple[int, int]] | None = None) -> Iterator[Path]:
    """The files of an array's chunks (or shards), all or those that have a part of `within`, a range by axis."""
    sizes, ranges = getattr(array, "shards", None) or array.chunks, within or {}
    grid = []
    for axis, (n, size) in enumerate(zip(array.shape, sizes, strict=True)):
        start, stop = ranges.get(axis, (0, n))
        grid.append(range(start // size, -(-stop // size)))
    return (folder / array.metadata.encode_chunk_key(place) for place in product(*grid))


def _metadata(image: _Image, names: list[str]) -> dict[str, float]:
    if image.axes is None:
        return {}
    said = {name: (scale, unit) for name, scale, unit in zip(names, image.scale, image.units, strict=True)}
    x, y, z = (units.length_um(*said.get(axis, (None, None))) for axis in "XYZ")
    interval = units.time_s(*said.get("T", (None, None)))
    return units.stated(pixel_size_um=units.square(x, y), z_step_um=z, frame_interval_s=interval)
