"""Nikon's ND2, version 2 and later: chunks of data and a map of them at the end."""

import io
import re
import struct
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np

from defocus3d.errors import InputError
from defocus3d.formats import units
from defocus3d.formats.source import Source, check_grey, in_a_line, largest, planes_along, size_of, truncated

MAGIC, OLD_MAGIC = b"\xda\xce\xbe\x0a", b"\0\0\0\x0cjP  "  # the old one is JPEG 2000
MAP_SIGNATURE = b"ND2 CHUNK MAP SIGNATURE 0000001!"
CHUNK_HEADER = struct.Struct("<IIQ")  # magic, length of the name, length of the data
TIMES_READ = 64  # frames whose times tell the interval
MOST_PLANNED = 10**6  # frames; nd2 makes a list of all that the loops were set to
EXPOSURE = re.compile(r"\bExposure: *([0-9.]+) *(us|µs|ms|s)\b")


class _Unmapped(io.RawIOBase):
    """A file without a number, so that nd2 reads it and does not map it: mapped pages would count as memory, more with each frame."""

    def __init__(self, path: Path):
        self._file = open(path, "rb")  # noqa: SIM115 (closed by close)

    def read(self, size=-1):
        return self._file.read(size)

    def seek(self, offset, whence=0):
        return self._file.seek(offset, whence)

    def close(self):
        self._file.close()
        super().close()


@dataclass
class Nd2Source(Source):
    """Planes of an ND2; the file stays open between reads."""

    _open: object = field(default=None, init=False, repr=False)
    _file: _Unmapped | None = field(default=None, init=False, repr=False)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Planes `start` to `stop` - 1."""
        if self._open is None:
            self._file = _Unmapped(self.path)
            self._open = _nd2(self._file)
        with _quiet():
            return np.stack([self._open.read_frame(k) for k in range(start, stop)])

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._file is not None:
            self._open.close()
            self._file.close()
            self._open = self._file = None


def is_nd2(path: Path) -> bool:
    """Whether a file is one of Nikon's, by its ending or its first bytes."""
    if path.suffix.lower() == ".nd2":
        return True
    try:
        with open(path, "rb") as file:
            return file.read(4) == MAGIC
    except OSError:
        return False  # said in one way for all formats


def open_nd2(path: Path) -> Nd2Source:
    """Number and size of the planes of an ND2; reads no image.

    Raises InputError where the file is missing, truncated, of the old kind, or holds more than planes along one axis.
    """
    size_of(path)
    with open(path, "rb") as file:
        start = file.read(8)
    if start == OLD_MAGIC:
        raise InputError(f"{path}: is an ND2 of before 2010 (JPEG 2000); save it as a multi-page TIFF")
    if start[:4] != MAGIC:
        raise InputError(f"{path}: is no ND2 file; name a TIFF, an OME-Zarr or an ND2")
    try:
        starts = _starts_of_frames(path)
        file = _Unmapped(path)
        try:
            with _quiet(), _nd2(file) as nd2:
                return _source(path, nd2, starts)
        finally:
            file.close()
    except InputError:
        raise
    except Exception as error:  # a damaged file can make the parser raise anything
        raise InputError(f"{path}: cannot be read as ND2 ({in_a_line(error)}); copy it again, or save it as a multi-page TIFF") from error


def _source(path: Path, nd2, starts: dict[int, int]) -> Nd2Source:
    about = nd2.attributes
    sizes = {axis: n for axis, n in nd2.sizes.items() if axis not in "YX"}
    planes_along(sizes, path)
    n_planes = about.sequenceCount  # recorded; the loops' counts are those planned
    if about.componentCount > 1:
        raise InputError(f"{path}: has {about.componentCount} channels; save one channel, as planes along one axis")
    if about.compressionType == "lossy":
        raise InputError(f"{path}: its compression is lossy; save the camera's own counts")
    dtype = np.dtype(f"{'f' if about.pixelDataType == 'float' else 'u'}{about.bitsPerComponentInMemory // 8}")
    check_grey(dtype, path)
    shape = about.heightPx, about.widthPx
    length = 0 if about.compressionType else prod(shape) * dtype.itemsize
    missing = n_planes < 1 or any(k not in starts or starts[k] + length > path.stat().st_size for k in range(n_planes))
    if missing or min(shape) < 1:
        raise truncated(path)
    return Nd2Source(path, n_planes, shape, dtype, largest(dtype, about.bitsPerComponentSignificant), metadata=_metadata(nd2, n_planes))


def _starts_of_frames(path: Path) -> dict[int, int]:
    """Where the data of each frame begin, by the map at the end of the file. nd2 would read a frame beyond the end as zeros."""
    size, found = path.stat().st_size, {}
    with open(path, "rb") as file:
        file.seek(max(size - 40, 0))
        signature, at = file.read(32), file.read(8)
        if signature != MAP_SIGNATURE:
            raise truncated(path)
        file.seek(min(struct.unpack("<Q", at)[0], size))
        _, name, length = CHUNK_HEADER.unpack(file.read(CHUNK_HEADER.size))
        file.seek(name, 1)
        content = file.read(min(length, size))
    place = 0
    while (end := content.index(b"!", place) + 1) and (name := content[place:end]) != MAP_SIGNATURE:
        offset, _ = struct.unpack_from("<QQ", content, end)
        if name.startswith(b"ImageDataSeq|"):
            found[int(name[13:-1])] = offset + 4096  # header, name and time are padded to that
        place = end + 16
    return found


def _metadata(nd2, n_planes: int) -> dict[str, float]:
    """Calibration, step of the z loop, measured or else planned interval, and the exposure that the camera's settings tell."""
    loops = {loop.type: loop.parameters for loop in nd2.experiment}
    texts = _or_none(lambda: nd2.text_info) or {}
    exposures = {units.time_s(*found) for text in texts.values() for found in EXPOSURE.findall(text)}
    return units.stated(
        pixel_size_um=_or_none(_pixel_size, nd2),
        z_step_um=units.length_um(loops["ZStackLoop"].stepUm, "um") if "ZStackLoop" in loops else None,
        frame_interval_s=None if "ZStackLoop" in loops else _interval(nd2, n_planes, loops),
        exposure_s=exposures.pop() if len(exposures) == 1 else None,
    )


def _pixel_size(nd2) -> float | None:
    volume = nd2.metadata.channels[0].volume
    x, y, _ = volume.axesCalibration
    return units.square(units.length_um(x, "um"), units.length_um(y, "um")) if volume.axesCalibrated[0] else None


def _interval(nd2, n_planes: int, loops: dict) -> float | None:
    """From the times of frames, which are measured; else the loop's period, in which 0 stands for as fast as possible."""
    if prod(loop.count for loop in nd2.experiment) > MOST_PLANNED:
        return None
    times = _or_none(lambda: [nd2.frame_metadata(k).channels[0].time.relativeTimeMs / 1000 for k in range(min(n_planes, TIMES_READ))])
    if times:
        return units.regular(times)
    return units.time_s(loops["TimeLoop"].periodMs, "ms") if "TimeLoop" in loops else None


def _or_none(what, *arguments):
    """What a function gives, or None where nd2 cannot tell: files differ in what they have, and their planes are read without it."""
    try:
        return what(*arguments)
    except Exception:
        return None


def _nd2(file: _Unmapped):
    import nd2  # not at the top: a run without ND2 does without it

    return nd2.ND2File(file)


@contextmanager
def _quiet():
    """Without nd2's own warnings: what matters is checked here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
