"""What all formats have in common: planes that are read on demand, and the checks that they share."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np

from defocus3d.errors import InputError


@dataclass
class Source(ABC):
    """Equal planes in one file.

    Attributes
    ----------
    path : Path
    n_planes : int
    shape : tuple of int
        Rows and columns of a plane.
    stored : numpy.dtype
        Of the counts, with the file's byte order.
    saturation_adu : float
        Largest count that the file can hold; infinite for floats.
    metadata : dict of str to float
        What the file says of `pixel_size_um`, `z_step_um`, `frame_interval_s`, `exposure_s`; see `units`.
    """

    path: Path
    n_planes: int
    shape: tuple[int, int]
    stored: np.dtype
    saturation_adu: float
    metadata: dict[str, float] = field(default_factory=dict, kw_only=True)

    @property
    def dtype(self) -> np.dtype:
        """Type of the counts in this machine's byte order."""
        return self.stored.newbyteorder("=")

    @property
    def kind(self) -> str:
        """Size and type of a plane in words."""
        rows, columns = self.shape
        return f"{rows} × {columns} pixels of {self.dtype}"

    @abstractmethod
    def read(self, start: int, stop: int) -> np.ndarray:
        """Planes `start` to `stop` - 1 as counts, their shape up to axes of length 1. May raise anything on damaged data."""

    def close(self) -> None:  # noqa: B027 (a format without an open file has nothing to close)
        """Close the file, if it is open; the next `read` opens it again."""


def size_of(path: Path) -> int:
    """Size of a file in bytes, above 0. Raises InputError for what is missing, a folder, empty, or out of reach."""
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name a file, an OME-Zarr, or a glob of one TIFF per plane such as {path}/*.tif")
        with open(path, "rb"):
            pass
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; correct the path, which is relative to the working directory") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror}); check the file and your rights to read it") from None
    if size == 0:
        raise InputError(f"{path}: is empty (0 bytes); copy or save it again")
    return size


def planes_along(sizes: dict[str, int], path: Path) -> int:
    """Number of planes of an image with these axes besides rows and columns. Raises InputError where several are longer than 1."""
    long = {axis: n for axis, n in sizes.items() if n > 1}
    if len(long) > 1 or "C" in long or "S" in long or "P" in long:
        words = ", ".join(f"{axis}={n}" for axis, n in long.items())
        raise InputError(
            f"{path}: has the axes {words}; save one channel and one position, as planes along one axis (z of a stack, time of a movie)"
        )
    return prod(sizes.values())


def check_grey(dtype: np.dtype | None, path: Path) -> None:
    """Raises InputError unless pixels of that type are grey counts."""
    if dtype is None or dtype.kind not in "uif":
        raise InputError(f"{path}: its pixels are {dtype or 'of an unknown type'}; save it as a grey image of 8 or 16 bits")


def largest(dtype: np.dtype, bits: int | None = None) -> float:
    """Largest count of a type, of which `bits` are used (None: all)."""
    if dtype.kind == "f":
        return math.inf
    return float(2 ** ((bits or 8 * dtype.itemsize) - (dtype.kind == "i")) - 1)


def truncated(path: Path) -> InputError:
    """The error of a file that ends too early."""
    return InputError(f"{path}: is truncated or damaged: it ends before its last plane; copy or save it again")


def in_a_line(error: Exception) -> str:
    """What an error says, on one line of at most 200 characters."""
    text = " ".join(str(error).split())
    return ("".join(c if c.isprintable() else "?" for c in text))[:200] or type(error).__name__
