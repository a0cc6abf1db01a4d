"""One bad movie: the others are finished, and the summary and the report say what is wrong with it."""

import pandas as pd
import tifffile
from tiny_analysis import write_acquisitions


def write_damaged(folder):
    """A movie whose headers are sound, but not the data of its sixth frame."""
    frames = tifffile.imread(folder / "data" / "swimming.tif")
    path = folder / "data" / "damaged.tif"
    tifffile.imwrite(path, frames, photometric="minisblack", compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as tif:
        at = tif.pages[5].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[at : at + 20] = bytes(20)
    path.write_bytes(data)


def test_one_bad_movie_does_not_stop_the_others(tiny):
    write_damaged(tiny.folder)
    movies = {"damaged": "data/damaged.tif", "swimming": "data/swimming.tif", "again": "data/swimming.tif"}
    write_acquisitions(tiny.folder, movies)
    run = tiny.snakemake()
    assert run.returncode != 0
    assert "Not finished: damaged" in run.stdout

    summary = pd.read_csv(tiny.result("summary.csv")).set_index("acquisition")
    assert list(summary.index) == list(movies)
    assert summary.at["damaged", "verdict"] == "failed"
    assert "localize: " in summary.at["damaged", "reasons"] and "damaged.tif: planes" in summary.at["damaged", "reasons"]
    assert summary.at["again", "verdict"] == summary.at["swimming", "verdict"] != "failed"
    report = tiny.result("report.html").read_text()
    assert "results/acquisitions/again/figures/frame.png" in report
    assert "acquisitions/damaged/figures" not in report

    (tiny.folder / "data" / "swimming.tif").replace(tiny.folder / "data" / "damaged.tif")
    write_acquisitions(tiny.folder, {**dict.fromkeys(movies, "data/damaged.tif")})
    tiny.run()
    summary = pd.read_csv(tiny.result("summary.csv")).set_index("acquisition")
    assert "failed" not in set(summary["verdict"])
