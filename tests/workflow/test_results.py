"""What one run of the workflow leaves behind."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from defocus3d import provenance, tables

AXES = ("x", "y", "z")
TABLES = {
    "optics/water/beads.csv": ["stack", "bead", "x_um", "y_um", "z_um", "photons", "background_e", "kept", "role", "reason", "residual"],
    "optics/water/precision_limit.csv": ["z_um", "photons", "background_e", *(f"crlb_{axis}_um" for axis in AXES)],
    "optics/water/training.csv": ["network", "step", "loss", "validation_loss", "learning_rate", "elapsed_s"],
    "optics/water/evaluation.csv": [
        "source", "stage", "axis", "bin_low", "bin_high", "n_truth", "n_found", "n_matched", "jaccard", "recall", "precision",
        *(f"rmse_{axis}_um" for axis in AXES), "bias_z_um", *(f"crlb_{axis}_um" for axis in AXES),
        *(f"within_{n}sigma_{axis}" for n in (1, 2) for axis in AXES), "slope_z",
    ],
    "summary.csv": [
        "acquisition", "optics", "n_frames", "n_localizations", "n_flagged", "n_tracks", "n_displacements",
        *(f"D_{axis}_{what}" for axis in (*AXES, "xyz") for what in ("um2_s", "low", "high")),
        "D_expected_um2_s", "D_expected_sd", *(f"sd_{axis}_um" for axis in AXES),
        "alpha", "alpha_low", "alpha_high", "isotropy",
        "axial_stretch", "axial_stretch_low", "axial_stretch_high", "proposed_axial_scale", "verdict", "reasons",
    ],
}  # fmt: skip
MSD = ["lag_s", "n", *(f"msd_{axis}_{what}" for axis in AXES for what in ("um2", "low", "high")), "expected_um2"]
MOVIES = ("swimming", "nobody")
FIGURES = [
    *(f"optics/water/figures/{name}.png" for name in ("psf", "beads", "precision_limit", "scenes", "fcn", "cnn", "training", "evaluation")),
    *(f"acquisitions/{movie}/figures/{name}.png" for movie in MOVIES
      for name in ("frame", "localizations", "tracks", "msd", "displacements", "checks")),
    "figures/summary.png",
]  # fmt: skip


def brownian(workspace, movie):
    return json.loads(workspace.result(f"acquisitions/{movie}/brownian.json").read_text())


def test_the_summary_rests_on_no_picture_or_the_report_would_take_along_those_of_every_movie(finished):
    planned = finished.snakemake("results/summary.csv", "--dry-run", "--forceall")
    assert planned.returncode == 0 and "rule diffusion:" in planned.stdout
    assert "rule draw_movie:" not in planned.stdout


@pytest.mark.parametrize("path", TABLES)
def test_tables_have_their_columns(finished, path):
    table = pd.read_csv(finished.result(path))
    assert set(TABLES[path]) <= set(table.columns)
    assert len(table)


@pytest.mark.parametrize("movie", MOVIES)
def test_tables_of_a_movie_have_their_columns_and_types(finished, movie):
    folder = finished.result(f"acquisitions/{movie}")
    for name, columns in (("localizations", tables.LOCALIZATION_COLUMNS), ("tracks", tables.TRACK_COLUMNS)):
        table = pd.read_parquet(folder / f"{name}.parquet")
        assert dict(table.dtypes) == {column: np.dtype(kind) for column, kind in columns.items()}
    assert set(MSD) <= set(pd.read_csv(folder / "msd.csv").columns)


@pytest.mark.parametrize("movie", MOVIES)
def test_brownian_json_has_its_keys(finished, movie):
    content = brownian(finished, movie)
    assert set(content["D_um2_s"]) >= {"x", "y", "z", "xyz"}
    assert all(set(value) >= {"value", "ci95"} for value in content["D_um2_s"].values())
    assert set(content["D_expected_um2_s"]) >= {"value", "sd"}
    assert set(content["localization_sd_um"]) >= set(AXES)
    assert set(content["alpha"]) >= {"value", "ci95"}
    keys = {"isotropy", "gaussianity", "search_range_sensitivity", "n_tracks", "n_displacements", "reasons"}
    assert set(content) >= keys
    assert content["verdict"] in ("consistent", "inconsistent", "insufficient")


def test_beads_are_found_in_the_movie_that_has_some(finished):
    table = pd.read_parquet(finished.result("acquisitions/swimming/localizations.parquet"))
    assert len(table) > 20
    assert table["frame"].is_monotonic_increasing
    assert table["frame"].between(0, 39).all()


def test_the_thorough_search_asks_the_same_networks(finished, tiny):
    path = "acquisitions/swimming/localizations.parquet"
    tiny.run(f"results/{path}", "--config", "localization={search: thorough}")
    quick, thorough = (pd.read_parquet(one.result(path)) for one in (finished, tiny))
    assert thorough["other_z_um"].notna().any() and quick["other_z_um"].notna().any() and len(quick) > 20
    assert not quick.equals(thorough)
    calibration = "optics/water/calibration.json"
    assert finished.result(calibration).read_bytes() == tiny.result(calibration).read_bytes()
    learned = json.loads(tiny.result(calibration).read_text())
    assert learned["acceptance"]["quick"] != learned["acceptance"]["thorough"]
    assert set(learned["other_weight"]) == {"quick", "thorough"}


def test_a_movie_without_beads_gives_empty_tables_and_no_verdict(finished):
    folder = finished.result("acquisitions/nobody")
    assert len(pd.read_parquet(folder / "localizations.parquet")) == 0
    assert len(pd.read_parquet(folder / "tracks.parquet")) == 0
    assert len(pd.read_csv(folder / "msd.csv")) == 0
    assert brownian(finished, "nobody")["verdict"] == "insufficient"
    assert brownian(finished, "nobody")["reasons"]


def test_the_summary_has_a_row_a_movie_in_the_sheets_order(finished):
    summary = pd.read_csv(finished.result("summary.csv")).set_index("acquisition")
    assert tuple(summary.index) == MOVIES
    assert list(summary["n_frames"]) == [40, 12]
    for movie in MOVIES:
        assert summary.at[movie, "verdict"] == brownian(finished, movie)["verdict"]


@pytest.mark.parametrize("path", FIGURES)
def test_figures_are_pictures_with_something_in_them(finished, path):
    with Image.open(finished.result(path)) as picture:
        assert min(picture.size) >= 100
        assert np.asarray(picture.convert("L")).std() > 0


def test_the_report_opens_without_a_network_and_shows_every_figure(finished):
    report = finished.result("report.html").read_text()
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="(https?:)?//', report)
    for path in (*FIGURES, "summary.csv"):
        assert f"results/{path}" in report, path
    assert not finished.result("unfinished_report.html").exists()


def test_the_manifest_names_versions_config_seeds_and_inputs(finished):
    manifest = json.loads(finished.result("manifest.json").read_text())
    assert manifest["versions"]["keras"]
    assert manifest["config"]["localization"]["refine"] in ("mle", "none")  # a default, filled in
    assert manifest["seeds"] == {"training": 3}
    sheets = ["config/acquisitions.tsv", "config/bead_stacks.tsv"]
    assert sorted(manifest["inputs"]) == [*sheets, "data/nobody.tif", "data/stack.tif", "data/swimming.tif"]
    assert manifest["inputs"]["data/stack.tif"] == provenance.checksum(finished.folder / "data" / "stack.tif")


@pytest.mark.parametrize("name", ["fcn", "cnn"])
def test_networks_open_where_defocus3d_is_not_installed_and_say_what_they_are_for(finished, name):
    import keras
    import onnx.reference

    network = keras.saving.load_model(finished.result(f"optics/water/{name}.keras"), compile=False)
    read = onnx.load(finished.result(f"optics/water/{name}.onnx"))
    images = np.random.default_rng(0).normal(size=(2, 48, 48, network.input_shape[-1])).astype(np.float32)
    assert onnx.reference.ReferenceEvaluator(read).run(None, {"input": images})[0] == pytest.approx(network.predict_on_batch(images), abs=1e-3)
    card = json.loads({told.key: told.value for told in read.metadata_props}["defocus3d"])
    assert card["pixel_size_um"] == 0.1 and card["axial_range_um"] == [-1.0, 1.0]
    assert card["photons"] == [3000, 20000] and card["background_e"] == [10, 40]
    assert card["camera"]["read_noise_e"] == 1.6 and card["blur_um"] > 0


def test_every_job_left_a_log(finished):
    logs = [path for path in finished.result("logs").rglob("*.log")]
    assert len(logs) == 7 + 4 * len(MOVIES) + 3
    assert not any("Traceback" in path.read_text() for path in logs)
