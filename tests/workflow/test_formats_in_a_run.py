"""One movie in several formats: the same localizations, with what the sheet leaves open taken from the files."""

import pandas as pd
import tifffile
import zarr
from nd2_file import write_nd2
from tiny_analysis import write_acquisitions

from defocus3d.microscope import PIXEL_UM

MOVIES = {"swimming": "data/swimming.tif", "zarr": "data/movie.zarr", "nd2": "data/movie.nd2", "planes": "data/planes"}


def write_movies(folder):
    frames = tifffile.imread(folder / "swimming.tif")
    write_nd2(folder / "movie.nd2", frames, interval_s=0.02, pixel_um=PIXEL_UM, exposure="10 ms")
    (folder / "planes").mkdir()
    for number, plane in enumerate(frames):
        tifffile.imwrite(folder / "planes" / f"t{number}.tif", plane, photometric="minisblack")
    group = zarr.open_group(folder / "movie.zarr", mode="w", zarr_format=2)
    group.create_array("0", shape=frames.shape, chunks=(8, 64, 64), dtype=frames.dtype)[:] = frames
    axes = [{"name": "t", "type": "time", "unit": "second"}, *({"name": n, "type": "space", "unit": "micrometer"} for n in "yx")]
    scale = [{"type": "scale", "scale": [0.02, PIXEL_UM, PIXEL_UM]}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]


def change_sheet(folder, **columns):
    """Set cells of the sheet of movies, by column and acquisition."""
    path = folder / "config" / "acquisitions.tsv"
    table = pd.read_csv(path, sep="\t").set_index("acquisition")
    for column, cells in columns.items():
        table[column] = table[column].astype(object)
        for name, cell in cells.items():
            table.at[name, column] = cell
    table.reset_index().to_csv(path, sep="\t", index=False)


def test_a_movie_is_the_same_in_every_format(tiny):
    write_movies(tiny.folder / "data")
    write_acquisitions(tiny.folder, MOVIES)
    change_sheet(tiny.folder, frame_interval_s={"zarr": "", "nd2": ""}, exposure_s={"nd2": ""})
    tables = [f"results/acquisitions/{name}/localizations.parquet" for name in MOVIES]
    assert tiny.planned(*tables) == {"localize": 3}
    output = tiny.run(*tables)
    assert "data/movie.nd2: frame_interval_s 0.02, exposure_s 0.01" in output and "data/movie.zarr: frame_interval_s 0.02" in output
    reference, *others = (pd.read_parquet(tiny.folder / table) for table in tables)
    assert len(reference) > 20
    for other in others:
        pd.testing.assert_frame_equal(other, reference, rtol=1e-3)  # sums of many threads are not rounded alike

    assert tiny.planned(*tables) == {}
    chunk = tiny.folder / "data" / "movie.zarr" / "0" / "0.0.0"
    chunk.write_bytes(chunk.read_bytes())
    assert tiny.planned(*tables) == {"localize": 1}


def test_a_file_that_contradicts_its_row_is_refused(untouched):
    write_movies(untouched.folder / "data")
    write_acquisitions(untouched.folder, MOVIES)
    change_sheet(untouched.folder, frame_interval_s={"nd2": 0.05})
    run = untouched.snakemake("--dry-run")
    assert run.returncode != 0 and "Traceback" not in run.stdout
    assert "acquisitions.tsv, line 4 (nd2), column frame_interval_s: 0.05, but data/movie.nd2 says 0.02; correct the sheet" in run.stdout
    change_sheet(untouched.folder, frame_interval_s={"planes": ""})
    assert "line 5 (planes), column frame_interval_s: is empty, and data/planes does not say it either" in untouched.snakemake("--dry-run").stdout
