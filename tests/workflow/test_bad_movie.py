"""One bad movie: the others are finished, and the summary and the report say what is wrong with it."""

import os

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

    made = tiny.result("summary.csv").stat().st_mtime_ns
    preview = tiny.snakemake("results/preview/damaged.png")
    assert preview.returncode != 0 and "Not finished" not in preview.stdout
    assert tiny.result("summary.csv").stat().st_mtime_ns == made

    # a report that fails after a failed run is not tried again and again
    brownian = tiny.result("acquisitions/again/brownian.json")
    sound, made = brownian.read_text(), brownian.stat().st_mtime_ns
    brownian.write_text("{")
    os.utime(brownian, ns=(made, made))  # so that nothing but the summary is made again
    tiny.result("summary.csv").unlink()
    run = tiny.snakemake()
    assert run.returncode != 0
    assert run.stdout.count("Not finished: damaged") == run.stdout.count("the report could not be made") == 1
    brownian.write_text(sound)
    os.utime(brownian, ns=(made, made))

    (tiny.folder / "data" / "swimming.tif").replace(tiny.folder / "data" / "damaged.tif")
    write_acquisitions(tiny.folder, {**dict.fromkeys(movies, "data/damaged.tif")})
    tiny.run()
    summary = pd.read_csv(tiny.result("summary.csv")).set_index("acquisition")
    assert "failed" not in set(summary["verdict"])
