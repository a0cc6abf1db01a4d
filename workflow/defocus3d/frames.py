"""Frames of bead stacks and movies, read a few at a time, in photoelectrons."""

import glob
import itertools
import os
import re
from pathlib import Path

import numpy as np

from defocus3d.camera import Camera
from defocus3d.errors import InputError
from defocus3d.formats import open_source
from defocus3d.formats.ome_zarr import is_zarr
from defocus3d.formats.source import Source, in_a_line

GLOB_CHARACTERS = re.compile(r"[*?\[]")
NUMBER = re.compile(r"([-+]?[0-9]+(?:\.[0-9]+)?)")
BITS, FILE_BITS = (10, 11, 12, 14), 16  # of cameras, and of the files that they are written to
# largest counts of such cameras, as they are and in the upper bits
CEILINGS_ADU = [(2**bits - 1) << shift for bits in BITS for shift in (0, FILE_BITS - bits)]
PILED = 3  # pixels with the largest count: so many are no chance
TIFF_ENDINGS = (".tif", ".tiff")  # of the planes in a folder

__all__ = ["Frames", "InputError", "files_of", "is_glob", "open_frames", "present_files"]


def is_glob(path, base=".") -> bool:
    """Whether `path` is a pattern for several files; the name of an existing file with brackets in it is not."""
    return bool(GLOB_CHARACTERS.search(str(path))) and not (Path(base) / path).exists()


def files_of(path, base=".") -> list[str]:
    """Files, relative to `base` as `path` is, that a sheet's path stands for, in the order of the numbers in their names; see `in_order`.

    Itself (an OME-Zarr is one, though a folder), or the matches of a glob, or the TIFFs in a folder.
    """
    if is_glob(path, base):
        return in_order(glob.glob(str(path), root_dir=base, recursive=True))
    folder = Path(base) / path
    if os.path.isdir(folder) and not is_zarr(folder):
        names = [file.name for file in folder.iterdir() if file.suffix.lower() in TIFF_ENDINGS and not file.name.startswith(".")]
        return [str(Path(path) / name) for name in in_order(names)]
    return [str(path)]


def in_order(names: list[str]) -> list[str]:
    """Names sorted by the numbers in them: 2 before 10, and heights (z_-0.5, z_0.0, z_0.5) from low to high."""
    values = _heights(names)
    return sorted(names, key=natural_order) if values is None else [name for _, name in sorted(zip(values, names))]


def natural_order(name: str) -> tuple:
    """Sort key under which the whole numbers in names count as numbers."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if number else part for part, number in zip(parts, itertools.cycle((False, True)))], name


def _heights(names: list[str]) -> list[float] | None:
    """The one number in which names differ, where it has decimals or a sign and rises in even steps; None where all else is the case.

    A hyphen before every one of them is no sign, and numbers after a point (series1.9, series1.10) make no even steps as decimals.
    """
    parts = [NUMBER.split(name) for name in names]  # a text and a number in turn
    if len({len(part) for part in parts}) != 1:
        return None
    differing = [(k, column) for k, column in enumerate(zip(*parts)) if len(set(column)) > 1]
    if len(differing) != 1 or differing[0][0] % 2 == 0:
        return None
    numbers = differing[0][1]
    if {number[0] for number in numbers} in ({"-"}, {"+"}):
        numbers = [number[1:] for number in numbers]
    if "".join(numbers).isdecimal():
        return None
    values, digits = [float(number) for number in numbers], max(len(number.partition(".")[2]) for number in numbers)
    steps = [after - before for before, after in itertools.pairwise(sorted(values))]
    return values if min(steps) > 0 and max(steps) - min(steps) < 2.1 * 10.0**-digits else None


def open_frames(path, camera: Camera, base=".") -> "Frames":
    """The frames of a file, of an OME-Zarr, or of a folder or glob of one TIFF per plane, opened for reading.

    Parameters
    ----------
    path : str or Path
        File, folder or glob, relative to `base`.
    camera : Camera
        Turns counts into photoelectrons.

    Raises
    ------
    InputError
        Where a file is missing, empty, truncated, of no known format, in colour, or where planes differ in size.
    """
    return Frames([open_source(Path(base) / file) for file in present_files(path, base)], camera)


def present_files(path, base=".") -> list[str]:
    """`files_of(path)`, of which there is at least one. Raises InputError for a glob or folder that has none."""
    files = files_of(path, base)
    if files:
        return files
    if is_glob(path, base):
        raise InputError(
            f"{path}: matches no file; "
            f"correct the pattern (it is relative to the working directory, {Path(base).resolve()})"
        )
    raise InputError(f"{path}: is a folder without TIFF files, and no OME-Zarr; name the file itself, or the folder that holds the planes")


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
    metadata : dict of str to float
        What the (first) file says of `pixel_size_um`, `z_step_um`, `frame_interval_s`, `exposure_s`, in these units.
    """

    def __init__(self, sources: list[Source], camera: Camera):
        first = sources[0]
        for source in sources[1:]:
            if (source.shape, source.dtype) != (first.shape, first.dtype):
                raise InputError(
                    f"{source.path}: its planes are {source.kind}, those of {first.path.name} are {first.kind}; "
                    "a glob or folder takes planes of one size and type: narrow it, or leave the odd file out"
                )
        if len(sources) > 1:
            for source in sources:
                if source.n_planes > 1:
                    raise InputError(
                        f"{source.path}: holds {source.n_planes} planes, but a glob or folder takes one TIFF per plane; "
                        "name this one file instead, or give each its own row"
                    )
        self._sources, self._camera = sources, camera
        self._n = sum(source.n_planes for source in sources)
        self.files = [str(source.path) for source in sources]
        self.shape, self.dtype, self.saturation_adu, self.metadata = first.shape, first.dtype, first.saturation_adu, first.metadata

    def __len__(self) -> int:
        return self._n

    def __enter__(self) -> "Frames":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Close the files that are open, if any."""
        for source in self._sources:
            source.close()

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames `start` to `stop` - 1 as float32 photoelectrons, shape (n, rows, columns); no more than there are, as a slice."""
        counts = self.read_raw(start, stop)
        if counts.dtype.kind == "f" and not np.isfinite(counts).all():
            what = f"planes {start + 1} to {stop} hold values that are no numbers (NaN or infinite)"
            raise InputError(f"{self.files[0]}: {what}; save the camera's own counts")
        return self._camera.to_photoelectrons(counts)

    def saturation_e(self, images_e: np.ndarray) -> float:
        """Photoelectrons from which on pixels of `images_e`, read from here, are saturated; infinite where no count tells.

        The largest that the files' integers hold; but where a camera of fewer bits writes them, many pixels have its largest count.
        """
        largest = images_e.max(initial=-np.inf)
        for ceiling in CEILINGS_ADU:
            if ceiling < self.saturation_adu and largest == self._camera.to_photoelectrons(ceiling):
                if np.count_nonzero(images_e == largest) >= PILED:
                    return float(largest)
        return float(self._camera.to_photoelectrons(self.saturation_adu))

    def read_raw(self, start: int, stop: int) -> np.ndarray:
        """The same as counts, in the files' type."""
        start, stop, _ = slice(start, stop).indices(len(self))
        if stop <= start:
            return np.empty((0, *self.shape), self.dtype)
        if len(self._sources) == 1:
            return self._planes(self._sources[0], start, stop)
        planes = []
        for source in self._sources[start:stop]:
            planes.append(self._planes(source, 0, 1))
            source.close()  # there may be more of them than a process may open
        return np.concatenate(planes)

    def _planes(self, source: Source, start: int, stop: int) -> np.ndarray:
        try:
            return source.read(start, stop).reshape(stop - start, *self.shape).astype(self.dtype, copy=False)
        except Exception as error:  # decoders raise what they like
            what = f"planes {start + 1} to {stop} cannot be read ({in_a_line(error)})"
            raise InputError(f"{source.path}: {what}; copy or save the file again") from error
