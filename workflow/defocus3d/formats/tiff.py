"""TIFF: multi-page, BigTIFF, ImageJ hyperstacks, OME-TIFF."""

import logging
import mmap
import struct
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np

from defocus3d.errors import InputError
from defocus3d.formats import ome_xml, units
from defocus3d.formats.source import Source, check_grey, in_a_line, largest, planes_along, size_of, truncated

# a lone "channel" axis longer than this is a stack whose axes were not named (tifffile's default for ImageJ files)
MOST_COLOURS = 4


@dataclass
class TiffSource(Source):
    """Planes of a TIFF; the file stays open between reads, since finding the pages of a long movie takes time."""

    offset: int | None  # of uncompressed planes that lie one after the other
    series: int | None  # that holds the planes; None: all pages of the file
    _open: object = field(default=None, init=False, repr=False)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Planes `start` to `stop` - 1."""
        if self.offset is not None:
            n = (stop - start) * prod(self.shape)
            with open(self.path, "rb") as file:
                file.seek(self.offset + start * prod(self.shape) * self.stored.itemsize)
                return np.fromfile(file, self.stored, n)
        with _quiet():
            if self._open is None:
                self._open = _tifffile().TiffFile(self.path)
            return self._open.asarray(key=range(start, stop), series=self.series, maxworkers=1)

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._open is not None:
            self._open.close()
            self._open = None


def open_tiff(path: Path) -> TiffSource:
    """Number, size and place of the planes of a TIFF; reads no image.

    Raises InputError where the file is missing, empty, truncated, no TIFF, in colour, or its planes differ in size.
    """
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
            raise InputError(f"{path}: cannot be read as TIFF ({in_a_line(error)}); save it again as a multi-page TIFF") from error


def _planes_of(tif, path: Path, n_pages: int) -> TiffSource:
    page = tif.pages.first
    if not ome_xml.is_safe(page.description):  # tifffile would parse it
        raise InputError(f"{path}: its OME-XML has a document type, which may be harmful; save it again as a plain multi-page TIFF")
    series = tif.series
    _check_pixels(page, path)
    about = (path, n_pages, page.shape, page.dtype.newbyteorder(tif.byteorder), _saturation(page))
    if len(series) > 1:  # pages written one by one make a series each
        if len(series) != n_pages or len({(s.shape, s.dtype) for s in series}) > 1 or series[0].ndim != 2:
            raise InputError(f"{path}: holds {len(series)} different images; save the stack or movie alone in a file")
        return TiffSource(*about, None, None, metadata=_metadata(tif))
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
        raise truncated(path)
    if offset is None and len(series.pages) != n_planes:
        raise InputError(
            f"{path}: {n_planes} planes in {len(series.pages)} pages cannot be read; "
            "save it again as a plain multi-page TIFF"
        )
    return TiffSource(path, n_planes, *about[2:], offset, 0, metadata=_metadata(tif))


def _metadata(tif) -> dict[str, float]:
    """What OME-XML says, or else ImageJ; a resolution without them is the printer's."""
    found = _imagej(tif) if tif.is_imagej else {}
    return found | (ome_xml.metadata(tif.ome_metadata) if tif.is_ome else {})


def _imagej(tif) -> dict[str, float]:
    """ImageJ's calibration: `unit`, pixels per unit as resolution, `spacing` of the planes, `finterval` in `tunit`. `fps` is for playing."""
    said, tags = tif.imagej_metadata or {}, tif.pages.first.tags
    width, height = (_per_unit(tags, name) for name in ("XResolution", "YResolution"))
    unit = said.get("unit")
    return units.stated(
        pixel_size_um=units.square(units.length_um(width, unit), units.length_um(height, said.get("yunit", unit))),
        z_step_um=units.length_um(said.get("spacing"), said.get("zunit", unit)),
        frame_interval_s=units.time_s(said.get("finterval"), said.get("tunit", "s")),
    )


def _per_unit(tags, name: str) -> float | None:
    """The size of a pixel in the file's unit, or None."""
    try:
        pixels, per = tags[name].value
        return per / pixels
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def _check_pixels(page, path: Path) -> None:
    """Raises InputError unless the page is one grey plane in a type and compression that can be read."""
    tifffile = _tifffile()
    if page.photometric == tifffile.PHOTOMETRIC.RGB or page.samplesperpixel > 1:
        raise InputError(f"{path}: is a colour (RGB) image; save one channel as a grey image with the camera's counts")
    check_grey(None if page.ndim != 2 else page.dtype, path)
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
    sizes = {axis: n for axis, n in zip(axes, shape, strict=True) if axis not in "YX"}
    if sizes.get("C", 1) > MOST_COLOURS:
        sizes["planes"] = sizes.pop("C")
    return planes_along(sizes, path)


def _saturation(page) -> float:
    return largest(page.dtype, page.bitspersample if isinstance(page.bitspersample, int) else None)


def _pages(path: Path) -> list[tuple[int, int]]:
    """Rows and columns of each page, after checking that every page and its data lie within the file.

    Walks the chain of directories itself, since tifffile takes a broken chain for a shorter movie (TIFF 6.0, section 2;
    BigTIFF has wider numbers). Raises InputError for what is missing, empty, truncated or no TIFF.
    """
    size_of(path)
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _walk(data, path)
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
                raise truncated(path)
            seen.add(at)
            start = at + count.size
            end = start + count.unpack_from(data, at)[0] * entry.size
            if end > len(data):
                raise truncated(path)
            tags = {}
            for tag, kind, n, value in entry.iter_unpack(data[start:end]):
                # the description may say how many planes there are
                if tag == 270 and n > inline and link.unpack(value)[0] + n > len(data):
                    raise truncated(path)
                form = order + str(n) + {3: "H", 4: "I", 16: "Q"}.get(kind, "")
                if tag in (256, 257, 273, 279, 324, 325) and kind in (3, 4, 16):
                    elsewhere = struct.calcsize(form) > inline
                    tags[tag] = struct.unpack_from(form, *((data, *link.unpack(value)) if elsewhere else (value,)))
            starts, lengths = tags.get(273, tags.get(324, ())), tags.get(279, tags.get(325, ()))
            if any(a + n > len(data) for a, n in zip(starts, lengths, strict=False)):
                raise truncated(path)
            pages.append((tags[257][0], tags[256][0]))
            (at,) = link.unpack_from(data, end)
    except (struct.error, KeyError, IndexError, OverflowError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise truncated(path) from None
    if not pages:
        raise truncated(path)
    return pages


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
