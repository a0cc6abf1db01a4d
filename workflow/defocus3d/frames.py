"""Frames of bead stacks and movies, read from TIFF a few at a time, in photoelectrons."""

import glob
import logging
import mmap
import re
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from defocus3d.camera import Camera

# a lone "channel" axis longer than this is a stack whose axes were not named (tifffile's default for ImageJ files)
MOST_COLOURS = 4
GLOB_CHARACTERS = re.compile(r"[*?\[]")


class InputError(ValueError):
    """Something that the user has to mend; the message names the file, what is wrong, and what to do."""


def is_glob(path, base=".") -> bool:
    """Whether `path` is a pattern for several files; the name of an existing file with brackets in it is not."""
    return bool(GLOB_CHARACTERS.search(str(path))) and not (Path(base) / path).exists()


def files_of(path, base=".") -> list[str]:
    """Files, relative to `base` as `path` is, that a sheet's path stands for: itself, or the matches of a glob, 2 before 10."""
    if not is_glob(path, base):
        return [str(path)]
    return sorted(glob.glob(str(path), root_dir=base, recursive=True), key=natural_order)


def natural_order(name: str) -> tuple:
    """Sort key under which the numbers in names count as numbers."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if part.isdigit() else part for part in parts], name


def open_frames(path, camera: Camera, base=".") -> "Frames":
    """The frames of a multi-page TIFF, or of a glob of one TIFF per plane, opened for reading.

    Parameters
    ----------
    path : str or Path
        File or glob, relative to `base`.
    camera : Camera
        Turns counts into photoelectrons.

    Raises
    ------
    InputError
        Where a file is missing, empty, truncated, no TIFF, in colour, or where planes differ in size.
    """
    return Frames([_header(Path(base) / file) for file in present_files(path, base)], camera)


def present_files(path, base=".") -> list[str]:
    """`files_of(path)`, of which there is at least one. Raises InputError for a glob that matches nothing."""
    files = files_of(path, base)
    if not files:
        raise InputError(
            f"{path}: matches no file; "
            f"correct the pattern (it is relative to the working directory, {Path(base).resolve()})"
        )
    return files


class Frames:
    """Equal planes in the order of time or z, read on demand; use it in a `with` statement.

    Attributes
    ----------
    files : list of str
        The files, in order.
    shape : tuple of int
        Rows and columns of a plane.
    dtype : numpy.dtype
        Of the counts.
    saturation_adu : float
        Largest count that the files' integers hold; infinite for files of floats.
    """

    def __init__(self, headers: list["_Header"], camera: Camera):
        first = headers[0]
        for header in headers[1:]:
            if (header.shape, header.dtype) != (first.shape, first.dtype):
                raise InputError(
                    f"{header.path}: its planes are {header.kind}, those of {first.path.name} are {first.kind}; "
                    "a glob takes planes of one size and type: narrow it, or leave the odd file out"
                )
        if len(headers) > 1:
            for header in headers:
                if header.n_planes > 1:
                    raise InputError(
                        f"{header.path}: holds {header.n_planes} planes, but a glob takes one TIFF per plane; "
                        "name this one file instead, or give each its own row"
                    )
        self._headers, self._camera = headers, camera
        self._open = self._open_path = None
        self._n = sum(header.n_planes for header in headers)
        self.files = [str(header.path) for header in headers]
        self.shape, self.dtype, self.saturation_adu = first.shape, first.dtype, first.saturation_adu

    def __len__(self) -> int:
        return self._n

    def __enter__(self) -> "Frames":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Close the file that is open, if any."""
        if self._open is not None:
            self._open.close()
            self._open = self._open_path = None

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames `start` to `stop` - 1 as float32 photoelectrons, shape (n, rows, columns); no more than there are, as a slice."""
        counts = self.read_raw(start, stop)
        if counts.dtype.kind == "f" and not np.isfinite(counts).all():
            what = f"planes {start + 1} to {stop} hold values that are no numbers (NaN or infinite)"
            raise InputError(f"{self.files[0]}: {what}; save the camera's own counts")
        return self._camera.to_photoelectrons(counts)

    def read_raw(self, start: int, stop: int) -> np.ndarray:
        """The same as counts, in the files' type."""
        start, stop, _ = slice(start, stop).indices(len(self))
        if stop <= start:
            return np.empty((0, *self.shape), self.dtype)
        if len(self._headers) > 1:
            return np.concatenate([self._planes(header, 0, 1) for header in self._headers[start:stop]])
        return self._planes(self._headers[0], start, stop)

    def _planes(self, header: "_Header", start: int, stop: int) -> np.ndarray:
        try:
            if header.offset is not None:
                planes = _read_contiguous(header, start, stop)
            else:
                with _quiet():
                    planes = self._file(header.path).asarray(key=range(start, stop), series=header.series, maxworkers=1)
            return planes.reshape(stop - start, *self.shape).astype(self.dtype, copy=False)
        except Exception as error:  # decoders raise what they like
            what = f"planes {start + 1} to {stop} cannot be read ({_in_a_line(error)})"
            raise InputError(f"{header.path}: {what}; copy or save the file again") from error

    def _file(self, path: Path):
        """The file, opened; that of the last call is kept open, since finding the pages of a long movie takes time."""
        if self._open_path != path:
            self.close()
            self._open, self._open_path = _tifffile().TiffFile(path), path
        return self._open


@dataclass(frozen=True)
class _Header:
    """What the header of a TIFF says about its planes."""

    path: Path
    n_planes: int
    shape: tuple[int, int]
    stored: np.dtype  # with the file's byte order
    saturation_adu: float
    offset: int | None  # of uncompressed planes that lie one after the other
    series: int | None  # that holds the planes; None: all pages of the file

    @property
    def dtype(self) -> np.dtype:
        return self.stored.newbyteorder("=")

    @property
    def kind(self) -> str:
        rows, columns = self.shape
        return f"{rows} × {columns} pixels of {self.dtype}"


def _read_contiguous(header: _Header, start: int, stop: int) -> np.ndarray:
    shape = (stop - start, *header.shape)
    with open(header.path, "rb") as file:
        file.seek(header.offset + start * prod(header.shape) * header.stored.itemsize)
        return np.fromfile(file, header.stored, prod(shape)).reshape(shape)


def _header(path: Path) -> _Header:
    """Number, size and place of the planes of a TIFF; reads no image. Raises InputError as `open_frames` does."""
    sizes = _pages(path)
    if len(set(sizes)) > 1:
        odd = next(i for i, size in enumerate(sizes) if size != sizes[0])
        raise InputError(
            f"{path}: planes of different sizes: plane 1 is {sizes[0][0]} × {sizes[0][1]}, plane {odd + 1} is "
            f"{sizes[odd][0]} × {sizes[odd][1]}; save it with planes of one size, without thumbnails or previews"
        )
    tifffile = _tifffile()
    with _quiet():
        try:
            with tifffile.TiffFile(path) as tif:
                return _planes_of(tif, path, len(sizes))
        except InputError:
            raise
        except Exception as error:  # a damaged file can make the parser raise anything
            raise InputError(f"{path}: cannot be read as TIFF ({_in_a_line(error)}); save it again as a multi-page TIFF") from error


def _planes_of(tif, path: Path, n_pages: int) -> _Header:
    page, series = tif.pages.first, tif.series
    _check_pixels(page, path)
    if len(series) > 1:  # pages written one by one make a series each
        if len(series) != n_pages or len({(s.shape, s.dtype) for s in series}) > 1 or series[0].ndim != 2:
            raise InputError(f"{path}: holds {len(series)} different images; save the stack or movie alone in a file")
        return _Header(path, n_pages, page.shape, _stored(tif, page), _saturation(page), None, None)
    (series,) = series
    n_planes = _length(series, path)
    if any(part is None for part in series.pages):
        raise InputError(
            f"{path}: is one part of a set of files, and others of the set are missing; "
            "put them beside it, or save it as one file"
        )
    declared = (tif.imagej_metadata or {}).get("images", 0) if tif.is_imagej else 0
    offset = series.dataoffset
    end = 0 if offset is None else offset + n_planes * prod(page.shape) * page.dtype.itemsize
    if end > path.stat().st_size or declared > n_planes:
        raise _truncated(path)
    if offset is None and len(series.pages) != n_planes:
        raise InputError(
            f"{path}: {n_planes} planes in {len(series.pages)} pages cannot be read; "
            "save it again as a plain multi-page TIFF"
        )
    return _Header(path, n_planes, page.shape, _stored(tif, page), _saturation(page), offset, 0)


def _check_pixels(page, path: Path) -> None:
    """Raises InputError unless the page is one grey plane in a type and compression that can be read."""
    tifffile = _tifffile()
    if page.photometric == tifffile.PHOTOMETRIC.RGB or page.samplesperpixel > 1:
        raise InputError(f"{path}: is a colour (RGB) image; save one channel as a grey image with the camera's counts")
    if page.dtype is None or page.dtype.kind not in "uif" or page.ndim != 2:
        raise InputError(f"{path}: its pixels are {page.dtype or 'of an unknown type'}; save it as a grey image of 8 or 16 bits")
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
        tifffile.TIFF.UNPREDICTORS[page.predictor]
    except KeyError:
        name = getattr(page.compression, "name", page.compression)
        raise InputError(
            f"{path}: its compression, {name}, cannot be read here; "
            "save it uncompressed, or install imagecodecs"
        ) from None


def _length(series, path: Path) -> int:
    """Number of planes of a series. Raises InputError unless it runs along one axis besides rows and columns."""
    axes, shape = series.get_axes(squeeze=False), series.get_shape(squeeze=False)
    long = {axis: n for axis, n in zip(axes, shape, strict=True) if n > 1 and axis not in "YX"}
    if len(long) > 1 or ("C" in long and long["C"] <= MOST_COLOURS) or "S" in long:
        sizes = ", ".join(f"{axis}={n}" for axis, n in long.items())
        raise InputError(
            f"{path}: has the axes {sizes}; "
            "save one channel, as planes along one axis (z of a stack, time of a movie)"
        )
    return prod(long.values())


def _stored(tif, page) -> np.dtype:
    return page.dtype.newbyteorder(tif.byteorder)


def _saturation(page) -> float:
    if page.dtype.kind == "f":
        return float("inf")
    bits = page.bitspersample if isinstance(page.bitspersample, int) else 8 * page.dtype.itemsize
    return float(2 ** (bits - (page.dtype.kind == "i")) - 1)


def _pages(path: Path) -> list[tuple[int, int]]:
    """Rows and columns of each page, after checking that every page and its data lie within the file.

    Walks the chain of directories itself, since tifffile takes a broken chain for a shorter movie (TIFF 6.0, section 2;
    BigTIFF has wider numbers). Raises InputError for what is missing, empty, truncated or no TIFF.
    """
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name a TIFF file, or a glob of one TIFF per plane such as {path}/*.tif")
        if size == 0:
            raise InputError(f"{path}: is empty (0 bytes); copy or save it again")
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _walk(data, path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; correct the path, which is relative to the working directory") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror}); check the file and your rights to read it") from None


def _walk(data, path: Path) -> list[tuple[int, int]]:
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    version = struct.unpack(f"{order}H", data[2:4])[0] if order and len(data) >= 8 else 0
    if version not in (42, 43):
        raise InputError(f"{path}: is no TIFF file; save it as a multi-page TIFF (a glob must match TIFF files only)")
    big = version == 43
    count, link, entry, inline = ("Q", "Q", "HHQ8s", 8) if big else ("H", "I", "HHI4s", 4)
    count, link, entry = (struct.Struct(order + form) for form in (count, link, entry))
    pages, seen = [], set()
    try:
        (at,) = link.unpack_from(data, 8 if big else 4)
        while at:
            if at in seen:
                raise _truncated(path)
            seen.add(at)
            start = at + count.size
            end = start + count.unpack_from(data, at)[0] * entry.size
            if end > len(data):
                raise _truncated(path)
            tags = {}
            for tag, kind, n, value in entry.iter_unpack(data[start:end]):
                # the description may say how many planes there are
                if tag == 270 and n > inline and link.unpack(value)[0] + n > len(data):
                    raise _truncated(path)
                form = order + str(n) + {3: "H", 4: "I", 16: "Q"}.get(kind, "")
                if tag in (256, 257, 273, 279, 324, 325) and kind in (3, 4, 16):
                    elsewhere = struct.calcsize(form) > inline
                    tags[tag] = struct.unpack_from(form, *((data, *link.unpack(value)) if elsewhere else (value,)))
            starts, lengths = tags.get(273, tags.get(324, ())), tags.get(279, tags.get(325, ()))
            if any(a + n > len(data) for a, n in zip(starts, lengths, strict=False)):
                raise _truncated(path)
            pages.append((tags[257][0], tags[256][0]))
            (at,) = link.unpack_from(data, end)
    except (struct.error, KeyError, IndexError, OverflowError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _truncated(path) from None
    if not pages:
        raise _truncated(path)
    return pages


def _truncated(path: Path) -> InputError:
    return InputError(f"{path}: is truncated or damaged: it ends before its last plane; copy or save it again")


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _tifffile():
    import tifffile  # not at the top: the config and the sheets are checked without it, in every job

    return tifffile


@contextmanager
def _quiet():
    """Without tifffile's own messages: what matters in them is checked here, and said in one message with the other problems."""
    logger = logging.getLogger("tifffile")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
