"""One bad movie: the others are finished, and the summary and the report say what is wrong with it."""

import pandas as pd
import tifffile
from damaged import write_damaged_tiff
from tiny_analysis import write_acquisitions


def test_one_bad_movie_does_not_stop_the_others(tiny):
    write_damaged_tiff(tiny.folder / "data" / "damaged.tif", tifffile.imread(tiny.folder / "data" / "swimming.tif"))
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
