"""Images that are damaged."""

import tifffile


def write_damaged_tiff(path, planes) -> None:
    """Write a TIFF whose headers are sound, but not the data of its sixth plane."""
    tifffile.imwrite(path, planes, photometric="minisblack", compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as tif:
        at = tif.pages[5].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[at : at + 20] = bytes(20)
    path.write_bytes(data)
