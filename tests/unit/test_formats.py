"""The same planes come out of every format, with what the file says of itself; damaged files are an InputError."""

import json
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from nd2_file import write_nd2

from defocus3d.camera import Camera
from defocus3d.formats import ome_xml
from defocus3d.frames import InputError, files_of, open_frames

ROOT = Path(__file__).parents[2]
CAMERA = Camera()
PLANES = np.random.default_rng(0).integers(90, 4000, (12, 20, 30), dtype=np.uint16)
PIXEL_UM, STEP_UM, INTERVAL_S = 0.108, 0.2, 0.05
MICRON, SECOND = {"type": "space", "unit": "micrometer"}, {"type": "time", "unit": "second"}
TIME_AXES = [{"name": "t", **SECOND}, {"name": "y", **MICRON}, {"name": "x", **MICRON}]
MOVIE, STACK = {"pixel_size_um": PIXEL_UM, "frame_interval_s": INTERVAL_S}, {"pixel_size_um": PIXEL_UM, "z_step_um": STEP_UM}


def write_zarr(path, planes=PLANES, *, version=3, axes=TIME_AXES, scale=(INTERVAL_S, PIXEL_UM, PIXEL_UM), chunks=(5, 20, 20), **options):
    """An OME-Zarr: NGFF 0.5 on Zarr 3, or 0.4 on Zarr 2."""
    group = zarr.open_group(path, mode="w", zarr_format=version)
    array = group.create_array("0", shape=planes.shape, chunks=chunks, dtype=planes.dtype, **options)
    array[:] = planes
    scales = [{"type": "scale", "scale": list(scale)}]
    multiscales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scales}]}]
    group.attrs.update({"ome": {"version": "0.5", "multiscales": multiscales}} if version == 3 else {"multiscales": multiscales})
    return path


def in_five_axes(path):
    axes = [{"name": "t", **SECOND}, {"name": "c", "type": "channel"}, {"name": "z", **MICRON}, *TIME_AXES[1:]]
    write_zarr(path, PLANES[None, None], axes=axes, scale=(1, 1, STEP_UM, PIXEL_UM, PIXEL_UM), chunks=(1, 1, 4, 20, 30))


def scaled_twice(path):
    """Scales of the level and of all levels multiply; nanometres are no micrometres."""
    axes = [{"name": "t", "type": "time", "unit": "millisecond"}, *({"name": n, "type": "space", "unit": "nanometer"} for n in "yx")]
    write_zarr(path, version=2, axes=axes, scale=(1, 2, 2))
    attributes = json.loads((path / ".zattrs").read_text())
    attributes["multiscales"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [50, 54, 54]}]
    (path / ".zattrs").write_text(json.dumps(attributes))


def of_bioformats(path):
    """As bioformats2raw writes: the image is one level deeper."""
    zarr.open_group(path, mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    write_zarr(path / "0", version=2)


def bare_array(path):
    zarr.open_array(path, mode="w", shape=PLANES.shape, chunks=(3, 20, 30), dtype="u2", zarr_format=3)[:] = PLANES


def imagej(path, *, unit="um", per_unit=1 / PIXEL_UM, **metadata):
    resolution = (per_unit, per_unit)
    tifffile.imwrite(path, PLANES, imagej=True, resolution=resolution, metadata={"axes": "TYX", "unit": unit, **metadata})


def ome(path, axes="TYX", **metadata):
    tifffile.imwrite(path, PLANES, ome=True, photometric="minisblack", metadata={"axes": axes, **metadata})


def ome_nm(path):
    sizes = {"PhysicalSizeX": 108.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 108.0, "PhysicalSizeYUnit": "nm"}
    ome(path, "ZYX", **sizes, PhysicalSizeZ=200.0, PhysicalSizeZUnit="nm")


def ome_with_times(path):
    """Without an interval, but with the time and the exposure of each plane, as Micro-Manager writes."""
    times = {"DeltaT": [INTERVAL_S * k + 0.001 * (k % 2) for k in range(12)], "DeltaTUnit": ["s"] * 12}
    ome(path, Plane={**times, "ExposureTime": [10.0] * 12, "ExposureTimeUnit": ["ms"] * 12})


def ome_of_irregular_times(path):
    ome(path, Plane={"DeltaT": [0.01 * k**2 for k in range(12)], "DeltaTUnit": ["s"] * 12})


def folder_of_planes(path):
    path.mkdir()
    for number, plane in enumerate(PLANES):
        tifffile.imwrite(path / f"z{number}.tif", plane, imagej=True, resolution=(1 / PIXEL_UM, 1 / PIXEL_UM), metadata={"unit": "um"})
    (path / "notes.txt").write_text("these are my planes")
    (path / "._z1.tif").write_bytes(b"what a Mac leaves behind")


def dpi(path):
    """A resolution in the tags, as many programs write for printing."""
    tifffile.imwrite(path, PLANES, photometric="minisblack", resolution=(96, 96), resolutionunit="INCH")


FILES = {  # name, writer, what the file says
    "ImageJ movie": ("movie.tif", lambda path: imagej(path, finterval=INTERVAL_S, fps=7.0), MOVIE),
    "ImageJ stack": ("stack.tif", lambda path: imagej(path, unit="\\u00B5m", spacing=STEP_UM), STACK),
    "ImageJ, nm and ms": ("movie.tif", lambda path: imagej(path, unit="nm", per_unit=1 / 108, finterval=50.0, tunit="ms"), MOVIE),
    "ImageJ, pixels": ("movie.tif", lambda path: imagej(path, unit="pixel", per_unit=1, spacing=1.0, finterval=0), {}),
    "ImageJ, no unit": ("movie.tif", lambda path: tifffile.imwrite(path, PLANES, imagej=True, resolution=(9.26, 9.26)), {}),
    "ImageJ, printer's unit": ("movie.tif", lambda path: imagej(path, unit="inch", per_unit=72), {}),
    "ImageJ, never calibrated": ("movie.tif", lambda path: imagej(path, unit="micron", per_unit=1, spacing=1.0, finterval=1.0), {}),
    "ImageJ, oblong pixels": ("movie.tif", lambda path: tifffile.imwrite(
        path, PLANES, imagej=True, resolution=(9.26, 4.63), metadata={"unit": "um", "finterval": INTERVAL_S}), {"frame_interval_s": INTERVAL_S}),
    "dpi": ("movie.tif", dpi, {}),
    "OME-TIFF movie": ("movie.ome.tif", lambda path: ome(path, PhysicalSizeX=PIXEL_UM, PhysicalSizeY=PIXEL_UM, TimeIncrement=INTERVAL_S), MOVIE),
    "OME-TIFF, BigTIFF, nm": ("stack.ome.tif", ome_nm, STACK),
    "OME-TIFF with times": ("movie.ome.tif", ome_with_times, {"frame_interval_s": INTERVAL_S, "exposure_s": 0.01}),
    "OME-TIFF, irregular": ("movie.ome.tif", ome_of_irregular_times, {}),
    "folder": ("planes", folder_of_planes, {"pixel_size_um": PIXEL_UM}),
    "OME-Zarr 0.5": ("movie.zarr", write_zarr, MOVIE),
    "OME-Zarr 0.4": ("movie.zarr", lambda path: write_zarr(path, version=2), MOVIE),
    "OME-Zarr, sharded": ("movie.zarr", lambda path: write_zarr(path, chunks=(2, 20, 10), shards=(4, 20, 30)), MOVIE),
    "OME-Zarr, big-endian": ("movie.zarr", lambda path: write_zarr(path, PLANES.astype(">u2"), version=2), MOVIE),
    "OME-Zarr, uncompressed": ("movie.zarr", lambda path: write_zarr(path, compressors=None), MOVIE),
    "OME-Zarr, five axes": ("stack.zarr", in_five_axes, STACK),
    "OME-Zarr, two scales, nm": ("movie.zarr", scaled_twice, MOVIE),
    "OME-Zarr, no units": ("movie.zarr", lambda path: write_zarr(path, axes=[{"name": n} for n in "tyx"]), {}),
    "OME-Zarr of bioformats2raw": ("movie.zarr", of_bioformats, MOVIE),
    "bare Zarr": ("movie.zarr", bare_array, {}),
    "ND2 movie": ("movie.nd2", lambda path: write_nd2(path, PLANES, interval_s=INTERVAL_S, exposure="10 ms"), {**MOVIE, "exposure_s": 0.01}),
    "ND2 stack": ("stack.nd2", lambda path: write_nd2(path, PLANES, loop="Z", step_um=STEP_UM), STACK),
    "ND2, compressed": ("movie.nd2", lambda path: write_nd2(path, PLANES, interval_s=INTERVAL_S, compressed=True), MOVIE),
    "ND2, stopped early": ("movie.nd2", lambda path: write_nd2(path, PLANES, interval_s=INTERVAL_S, planned=40), MOVIE),
    "ND2, not calibrated": ("movie.nd2", lambda path: write_nd2(path, PLANES, interval_s=INTERVAL_S, pixel_um=None), {"frame_interval_s": INTERVAL_S}),
    "ND2, irregular": ("movie.nd2", lambda path: write_nd2(path, PLANES, late_s=0.01 * np.arange(12) ** 2), {"pixel_size_um": PIXEL_UM}),
    "ND2 of another name": ("movie.dat", lambda path: write_nd2(path, PLANES, interval_s=INTERVAL_S), MOVIE),
}  # fmt: skip


@pytest.mark.parametrize(("name", "write", "said"), FILES.values(), ids=FILES)
def test_planes_come_out_as_written_with_what_the_file_says(tmp_path, name, write, said):
    write(tmp_path / name)
    with open_frames(name, CAMERA, tmp_path) as frames:
        assert len(frames) == 12 and frames.shape == (20, 30) and frames.dtype == np.uint16 and frames.dtype.isnative
        assert frames.saturation_adu == 65535
        assert frames.metadata == pytest.approx(said, rel=0.005)  # the times of ome_with_times are no better
        for start, stop in [(0, 12), (0, 1), (3, 7), (11, 12), (5, 5), (10, 99)]:
            raw = frames.read_raw(start, stop)
            assert raw.dtype == np.uint16 and raw.dtype.isnative
            np.testing.assert_array_equal(raw, PLANES[start:stop])


def test_nd2_tells_the_bits_of_its_camera(tmp_path):
    write_nd2(tmp_path / "movie.nd2", PLANES, bits=12)
    with open_frames(tmp_path / "movie.nd2", CAMERA) as frames:
        assert frames.saturation_adu == 4095


def test_an_ome_zarr_is_one_input_and_a_folder_of_planes_many(tmp_path):
    write_zarr(tmp_path / "movie.zarr")
    folder_of_planes(tmp_path / "planes")
    assert files_of("movie.zarr", tmp_path) == ["movie.zarr"]
    assert files_of("planes", tmp_path) == [f"planes/z{number}.tif" for number in range(12)]


WRITERS = {
    "TIFF": lambda path, planes: tifffile.imwrite(path, planes, photometric="minisblack"),
    "ND2": write_nd2,
    "Zarr": lambda path, planes: write_zarr(path, planes, chunks=(1, 256, 512)),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_memory_does_not_grow_with_the_movie(tmp_path, write):
    """20 MB of frames, read in batches of 0.25 MB: less than 3 MB at any time."""
    write(tmp_path / "movie", np.random.default_rng(0).integers(0, 9999, (80, 256, 512), np.uint16))
    with open_frames(tmp_path / "movie", CAMERA) as frames:
        frames.read(0, 1)
        tracemalloc.start()
        for start in range(0, 80):
            frames.read(start, start + 1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 3e6


def test_nd2_is_read_and_not_mapped(tmp_path):
    """Mapped pages count as memory of the process, and a cluster may stop it for them."""
    write_nd2(tmp_path / "movie.nd2", PLANES)
    with open_frames(tmp_path / "movie.nd2", CAMERA) as frames:
        frames.read(0, 12)
        assert "movie.nd2" not in Path("/proc/self/maps").read_text()


# damaged files


def cut(path, share):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("compressed", [False, True])
def test_an_nd2_that_is_cut_is_seen_when_opened(tmp_path, share, compressed):
    write_nd2(tmp_path / "movie.nd2", PLANES, compressed=compressed)
    cut(tmp_path / "movie.nd2", share)
    with pytest.raises(InputError, match=r"movie\.nd2: is truncated"):
        open_frames(tmp_path / "movie.nd2", CAMERA)


def edit(name, change):
    def spoil(path):
        path = path / name
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return spoil


def with_two_images(attributes):
    attributes["attributes"]["ome"]["multiscales"] *= 2
    return attributes


def with_array_elsewhere(attributes):
    attributes["attributes"]["ome"]["multiscales"][0]["datasets"][0]["path"] = "../other"
    return attributes


BAD_ZARR = {
    "no JSON": (lambda path: (path / "zarr.json").write_text("{"), "cannot be read as OME-Zarr"),
    "a list": (lambda path: (path / "zarr.json").write_text("[]"), "zarr.json is no mapping"),
    "array without metadata": (lambda path: (path / "0" / "zarr.json").unlink(), "its array 0 is missing"),
    "array of noise": (lambda path: (path / "0" / "zarr.json").write_bytes(bytes(range(256))), "cannot be read as OME-Zarr"),
    "no image": (edit("zarr.json", lambda attributes: {**attributes, "attributes": {}}), "without the metadata of an OME-Zarr image"),
    "two images": (edit("zarr.json", with_two_images), "holds 2 images"),
    "array elsewhere": (edit("zarr.json", with_array_elsewhere), "an array outside of it"),
    "a chunk is missing": (lambda path: (path / "0" / "c" / "1" / "0" / "0").unlink(), "is truncated or damaged"),
    "all chunks are missing": (lambda path: shutil.rmtree(path / "0" / "c"), "is truncated or damaged"),
    "unknown compression": (edit("0/zarr.json", lambda array: {**array, "codecs": [{"name": "mystery"}]}), "its compression, mystery"),
    "text": (edit("0/zarr.json", lambda array: {**array, "data_type": "string"}), "movie.zarr"),
    "negative size": (edit("0/zarr.json", lambda array: {**array, "shape": [-1, 20, 30]}), "movie.zarr"),
    "two channels": (lambda path: write_zarr(path, PLANES.reshape(6, 2, 20, 30), axes=[TIME_AXES[0], {"name": "c"}, *TIME_AXES[1:]],
                                             scale=(1, 1, 1, 1), chunks=(1, 1, 20, 30)), "has the axes T=6, C=2"),
    "x before y": (lambda path: write_zarr(path, axes=[TIME_AXES[0], TIME_AXES[2], TIME_AXES[1]]), "the last two have to be y and x"),
    "complex": (lambda path: write_zarr(path, PLANES.astype(np.complex64)), "its pixels are complex64"),
    "a plate": (edit("zarr.json", lambda attributes: {**attributes, "attributes": {"ome": {"plate": {}}}}), "is a plate of many images"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "words"), BAD_ZARR.values(), ids=BAD_ZARR)
def test_a_damaged_zarr_is_an_input_error(tmp_path, spoil, words):
    spoil(write_zarr(tmp_path / "movie.zarr"))
    with pytest.raises(InputError) as error:
        open_frames(tmp_path / "movie.zarr", CAMERA)
    assert words in str(error.value) and str(error.value).startswith(f"{tmp_path}/movie.zarr") and "\n" not in str(error.value)


CHUNKS = [{}, {"compressors": None}, {"version": 2}, {"compressors": zarr.codecs.BloscCodec()}, {"chunks": (2, 20, 30), "shards": (4, 20, 30)}]


@pytest.mark.parametrize("options", CHUNKS, ids=str)
def test_a_chunk_that_is_cut_is_an_input_error_for_its_planes(tmp_path, options):
    path = write_zarr(tmp_path / "movie.zarr", **{"chunks": (4, 20, 30), **options})
    cut(path / "0" / ("1.0.0" if options.get("version") == 2 else "c/1/0/0"), 0.7)
    with open_frames(path, CAMERA) as frames:
        np.testing.assert_array_equal(frames.read_raw(0, 4), PLANES[:4])
        with pytest.raises(InputError, match=r"movie\.zarr: planes 6 to 7 cannot be read"):
            frames.read(5, 7)


def test_a_zarr_that_would_run_code_is_refused(tmp_path):
    """The filter `pickle` of Zarr 2 runs what the chunk says."""
    path = write_zarr(tmp_path / "movie.zarr", version=2)
    edit("0/.zarray", lambda array: {**array, "filters": [{"id": "pickle", "protocol": 5}]})(path)
    with pytest.raises(InputError, match="its compression, pickle, cannot be read here"):
        open_frames(path, CAMERA)


def test_an_old_nd2_and_what_is_none_are_told(tmp_path):
    (tmp_path / "old.nd2").write_bytes(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100))
    (tmp_path / "none.nd2").write_bytes(b"PK" + bytes(100))
    with pytest.raises(InputError, match="of before 2010"):
        open_frames(tmp_path / "old.nd2", CAMERA)
    with pytest.raises(InputError, match="is no ND2 file"):
        open_frames(tmp_path / "none.nd2", CAMERA)
    with pytest.raises(InputError, match="no such file"):
        open_frames(tmp_path / "nothing.nd2", CAMERA)


def test_an_nd2_of_z_and_time_is_told(tmp_path):
    write_nd2(tmp_path / "both.nd2", PLANES, loop="TZ")
    with pytest.raises(InputError, match="has the axes T=6, Z=2"):
        open_frames(tmp_path / "both.nd2", CAMERA)


def test_xml_with_entities_is_refused_before_it_is_parsed(tmp_path):
    bomb = '<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY a "aaaa">]><OME><Image><Pixels/></Image></OME>'
    assert ome_xml.metadata(bomb) == {}
    tifffile.imwrite(tmp_path / "movie.ome.tif", PLANES, photometric="minisblack", description=bomb, metadata=None)
    with pytest.raises(InputError, match="its OME-XML has a document type"):
        open_frames(tmp_path / "movie.ome.tif", CAMERA)


@pytest.mark.parametrize("text", ["", "<OME>", "no XML", "<OME/>", "<OME><Image><Pixels/></Image></OME>"])
def test_ome_xml_that_says_nothing(text):
    assert ome_xml.metadata(text) == {}


def test_a_run_without_them_imports_no_reader_of_nd2_and_zarr(tmp_path):
    """They cost 0.2 s each, in every job."""
    tifffile.imwrite(tmp_path / "movie.tif", PLANES, photometric="minisblack")
    code = f"""
import sys
sys.path.insert(0, {str(ROOT / "workflow")!r})
from defocus3d.camera import Camera
from defocus3d.frames import open_frames
open_frames({str(tmp_path / "movie.tif")!r}, Camera()).read(0, 3)
print([name for name in ("nd2", "zarr") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
