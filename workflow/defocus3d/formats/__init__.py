"""The file formats that stacks and movies come in; each module reads one of them."""

from pathlib import Path

from defocus3d.formats import nikon, ome_zarr, tiff
from defocus3d.formats.source import Source


def open_source(path: Path) -> Source:
    """The planes of a file or of an OME-Zarr folder; reads the header and no image.

    Raises InputError where it is missing, empty, truncated, of no known format, or holds more than planes along one axis.
    """
    if ome_zarr.is_zarr(path):
        return ome_zarr.open_zarr(path)
    if nikon.is_nd2(path):
        return nikon.open_nd2(path)
    return tiff.open_tiff(path)
