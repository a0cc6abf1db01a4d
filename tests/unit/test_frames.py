"""Frames come out as they were written, whatever the kind of TIFF, and only those that are asked for."""


import numpy as np
import pytest
import tifffile
from damaged import write_damaged_tiff

from defocus3d.camera import Camera
from defocus3d.frames import InputError, files_of, in_order, open_frames

CAMERA = Camera(offset_adu=100, gain_e_per_adu=0.5)
PLANES = np.random.default_rng(0).integers(90, 4000, (12, 20, 30), dtype=np.uint16)


def page_by_page(path):
    with tifffile.TiffWriter(path) as tif:
        for plane in PLANES:
            tif.write(plane, photometric="minisblack")


def plain_pages(path):
    """As libtiff writes them: a directory with each plane, no metadata."""
    with tifffile.TiffWriter(path) as tif:
        for plane in PLANES:
            tif.write(plane, photometric="minisblack", metadata=None, rowsperstrip=7)


def imagej_one_directory(path):
    """As ImageJ writes movies above 4 GB: one directory, all planes behind it."""
    header = b"ImageJ=1.54f\nimages=12\nframes=12\nloop=false\n"
    with tifffile.TiffWriter(path, byteorder=">") as tif:
        tif.write(PLANES[0].astype(">u2"), photometric="minisblack", description=header, metadata=None)
    with open(path, "ab") as file:
        file.write(PLANES[1:].astype(">u2").tobytes())


WRITERS = {
    "tifffile": lambda path: tifffile.imwrite(path, PLANES, photometric="minisblack"),
    "BigTIFF": lambda path: tifffile.imwrite(path, PLANES, photometric="minisblack", bigtiff=True),
    "big-endian": lambda path: tifffile.imwrite(path, PLANES, photometric="minisblack", byteorder=">"),
    "deflated": lambda path: tifffile.imwrite(path, PLANES, photometric="minisblack", compression="zlib"),
    "tiled": lambda path: tifffile.imwrite(path, PLANES, photometric="minisblack", tile=(16, 16)),
    "ImageJ, z": lambda path: tifffile.imwrite(path, PLANES, imagej=True, metadata={"axes": "ZYX"}),
    "ImageJ, time": lambda path: tifffile.imwrite(path, PLANES, imagej=True, metadata={"axes": "TYX"}),
    "ImageJ, axis not named": lambda path: tifffile.imwrite(path, PLANES, imagej=True),
    "ImageJ, one directory": imagej_one_directory,
    "OME": lambda path: tifffile.imwrite(path, PLANES, photometric="minisblack", ome=True, metadata={"axes": "TYX"}),
    "one directory of tifffile": lambda path: tifffile.imwrite(path, PLANES, photometric="minisblack", metadata={"axes": "TYX"}),
    "page by page": page_by_page,
    "plain pages": plain_pages,
}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_planes_come_out_as_written(tmp_path, writer):
    path = tmp_path / "movie.ome.tif" if writer is WRITERS["OME"] else tmp_path / "movie.tif"
    writer(path)
    with open_frames(path, CAMERA) as frames:
        assert len(frames) == 12 and frames.shape == (20, 30) and frames.saturation_adu == 65535
        for start, stop in [(0, 12), (0, 1), (3, 7), (11, 12), (5, 5)]:
            raw = frames.read_raw(start, stop)
            assert raw.dtype == np.uint16 and raw.dtype.isnative
            np.testing.assert_array_equal(raw, PLANES[start:stop])


def test_frames_are_in_photoelectrons(tmp_path):
    tifffile.imwrite(tmp_path / "movie.tif", PLANES, photometric="minisblack")
    with open_frames("movie.tif", CAMERA, tmp_path) as frames:
        read = frames.read(2, 4)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, (PLANES[2:4] - 100.0) * 0.5)


def test_reading_beyond_the_end_is_as_a_slice(tmp_path):
    tifffile.imwrite(tmp_path / "movie.tif", PLANES, photometric="minisblack")
    with open_frames(tmp_path / "movie.tif", CAMERA) as frames:
        assert frames.read(10, 99).shape == (2, 20, 30)
        assert frames.read(12, 20).shape == (0, 20, 30)


def test_a_glob_is_sorted_by_the_numbers_in_names(tmp_path):
    for number in (10, 2, 1, 11):
        tifffile.imwrite(tmp_path / f"z{number}.tif", PLANES[number], photometric="minisblack")
    assert files_of("z*.tif", tmp_path) == ["z1.tif", "z2.tif", "z10.tif", "z11.tif"]
    with open_frames("z*.tif", CAMERA, tmp_path) as frames:
        np.testing.assert_array_equal(frames.read_raw(1, 3), PLANES[[2, 10]])
        assert len(frames) == len(frames.files) == 4


@pytest.mark.parametrize(
    "names",
    [
        ["z_-1.0.tif", "z_-0.5.tif", "z_0.0.tif", "z_0.5.tif"],
        ["z0.05.tif", "z0.1.tif", "z0.15.tif", "z0.2.tif"],
        ["z0.33.tif", "z0.67.tif", "z1.00.tif", "z1.33.tif"],
        ["2026.11.28/z1.0.tif", "2026.11.28/z1.25.tif", "2026.11.28/z1.5.tif"],
        [f"img-{k}.tif" for k in range(1, 12)],  # a hyphen, no sign
        [f"series1.{k}.tif" for k in range(1, 13)],  # a point, no decimals
        [f"t{k // 3}_z{k % 3}.tif" for k in range(33)],
        ["²_2.tif", "²_10.tif"],
        ["one.tif"],
        [],
    ],
)
def test_numbers_in_names_count_as_numbers(names):
    assert in_order(names[::-1]) == names
    assert in_order(sorted(names)) == names


def test_a_file_with_brackets_in_its_name_is_no_glob(tmp_path):
    tifffile.imwrite(tmp_path / "movie[1].tif", PLANES, photometric="minisblack")
    assert files_of("movie[1].tif", tmp_path) == ["movie[1].tif"]


def test_a_glob_that_matches_nothing_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"z\*\.tif: matches no file"):
        open_frames("z*.tif", CAMERA, tmp_path)


@pytest.mark.parametrize(("dtype", "saturation"), [(np.uint8, 255), (np.int16, 32767), (np.float32, np.inf)])
def test_saturation_is_the_largest_count_that_the_type_holds(tmp_path, dtype, saturation):
    tifffile.imwrite(tmp_path / "movie.tif", np.zeros((5, 8, 8), dtype), photometric="minisblack")
    with open_frames(tmp_path / "movie.tif", CAMERA) as frames:
        assert frames.saturation_adu == saturation


@pytest.mark.parametrize("ceiling", [1023, 4095, 16383, 65520])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_camera_of_fewer_bits_than_its_files_saturates_where_its_counts_pile_up(tmp_path, ceiling, dtype):
    counts = np.random.default_rng(1).integers(90, ceiling - 1, (5, 8, 8)).astype(dtype)
    for piled, saturation in ((2, np.iinfo(np.uint16).max if dtype == np.uint16 else np.inf), (3, ceiling)):
        counts[1, 2, :piled] = ceiling
        tifffile.imwrite(tmp_path / "movie.tif", counts, photometric="minisblack")
        with open_frames(tmp_path / "movie.tif", CAMERA) as frames:
            images = frames.read(0, 5)
            assert frames.saturation_e(images) == CAMERA.to_photoelectrons(saturation)
            assert frames.saturation_e(images[2:]) > images[2:].max()
            assert frames.saturation_e(images[:0]) == CAMERA.to_photoelectrons(frames.saturation_adu)


def test_truncation_is_seen_wherever_it_falls(tmp_path):
    """Cut anywhere, a file of any kind is an error when opened, never a shorter movie."""
    for name, writer in WRITERS.items():
        path = tmp_path / ("movie.ome.tif" if name == "OME" else "movie.tif")
        writer(path)
        whole = path.read_bytes()
        for share in (0.05, 0.3, 0.5, 0.7, 0.9, 0.97):
            path.write_bytes(whole[: int(share * len(whole))])
            with pytest.raises(InputError, match="truncated"):
                open_frames(path, CAMERA)
                pytest.fail(f"{name} cut at {share}")


def test_pixels_that_are_no_numbers_are_an_input_error(tmp_path):
    planes = np.zeros((12, 8, 8), np.float32)
    planes[7, 2, 3] = np.nan
    tifffile.imwrite(tmp_path / "movie.tif", planes, photometric="minisblack")
    with open_frames(tmp_path / "movie.tif", CAMERA) as frames:
        assert frames.read(0, 7).shape == (7, 8, 8)
        with pytest.raises(InputError, match=r"movie\.tif: planes 5 to 8 hold values that are no numbers"):
            frames.read(4, 8)


def test_damaged_data_is_an_input_error(tmp_path):
    path = tmp_path / "movie.tif"
    write_damaged_tiff(path, PLANES)
    with open_frames(path, CAMERA) as frames, pytest.raises(InputError, match=r"movie\.tif: planes 5 to 8 cannot be read"):
        frames.read(4, 8)
