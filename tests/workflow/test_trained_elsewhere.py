"""An analysis without stacks, with the networks of another: nothing is trained, and the same is found."""

import shutil

import pandas as pd
import pytest

MOVIE_JOBS = {"localize": 2, "link": 2, "diffusion": 2, "draw_movie": 2}
REPORTING = {"summarize": 1, "manifest": 1, "results": 1, "report": 1}


@pytest.fixture
def borrowing(finished, untouched):
    """The tiny analysis with a copy of the finished one's networks in place of its stack."""
    (untouched.folder / "data" / "stack.tif").unlink()
    shutil.copytree(finished.result("optics/water"), untouched.folder / "elsewhere")
    write_stacks(untouched)
    return untouched


def write_stacks(workspace, **changes):
    row = {"optics": "water", "trained": "elsewhere", "pixel_size_um": 0.1, **changes}
    pd.DataFrame([row]).to_csv(workspace.folder / "config" / "bead_stacks.tsv", sep="\t", index=False)


def test_networks_of_another_analysis_find_the_same(finished, borrowing):
    jobs = borrowing.planned()
    assert {job: count for job, count in jobs.items() if job not in REPORTING} == {
        "bring_networks": 1, "draw_networks": 1, "draw_training": 1, **MOVIE_JOBS
    }  # fmt: skip
    borrowing.run()
    for table in ("acquisitions/swimming/localizations.parquet", "acquisitions/swimming/tracks.parquet", "summary.csv"):
        assert borrowing.result(table).read_bytes() == finished.result(table).read_bytes(), table
    report = borrowing.result("report.html").read_text()
    for figure in ("psf", "precision_limit", "fcn", "cnn", "training", "evaluation"):
        assert f"results/optics/water/figures/{figure}.png" in report, figure
    assert '"elsewhere/fcn.onnx"' in borrowing.result("manifest.json").read_text()
    assert borrowing.planned() == {}

    borrowing.run("preview")
    assert borrowing.result("preview.html").read_text().count("<img") == 3 + 2


def test_networks_that_are_not_for_these_images_are_refused_before_any_job(borrowing):
    write_stacks(borrowing, pixel_size_um=0.12)
    (borrowing.folder / "elsewhere" / "evaluation.csv").unlink()
    run = borrowing.snakemake()
    assert run.returncode != 0 and "Traceback" not in run.stdout
    assert "elsewhere/evaluation.csv: no such file" in run.stdout
    shutil.copy(borrowing.folder / "elsewhere" / "training.csv", borrowing.folder / "elsewhere" / "evaluation.csv")
    assert "elsewhere/evaluation.csv: is damaged, or not the table" in borrowing.snakemake().stdout
    assert not borrowing.result("").exists()
