"""Bad input is refused before the first job, in one message, without a traceback."""

import shutil

import pandas as pd
import pytest
import yaml
from tiny_analysis import Workspace

from defocus3d import new_project


def refused(workspace, *words):
    run = workspace.snakemake()
    assert run.returncode != 0
    assert "Traceback" not in run.stdout
    assert not (workspace.folder / "results").exists()
    for word in words:
        assert word in run.stdout, run.stdout
    return run.stdout


def test_all_problems_come_in_one_message(untouched):
    """One in the config, one in each sheet, one in a file."""
    path = untouched.folder / "config" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["trainign"] = config.pop("training")
    path.write_text(yaml.safe_dump(config))
    stacks = untouched.folder / "config" / "bead_stacks.tsv"
    pd.read_csv(stacks, sep="\t").assign(z_step_um=-0.1).to_csv(stacks, sep="\t", index=False)
    movies = untouched.folder / "config" / "acquisitions.tsv"
    pd.read_csv(movies, sep="\t").assign(exposure_s=0.05).to_csv(movies, sep="\t", index=False)
    (untouched.folder / "data" / "nobody.tif").write_bytes(b"no picture")
    refused(untouched, "trainign", "training", "z_step_um", "exposure_s", "nobody.tif")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("camera: {offset_adu: 3\n", ["config/config.yaml, line 2: is no YAML"]),
        ("training: {seed: 1}\nlinking: {}\ntraining: {seed: 2}\n", ["line 3: key `training` is there already, in line 1"]),
        (None, ["config/config.yaml: no such file", "--configfile"]),
    ],
    ids=["no YAML", "key twice", "no config"],
)
def test_a_config_that_cannot_be_read_is_told_with_its_line(untouched, text, words):
    path = untouched.folder / "config" / "config.yaml"
    path.unlink()
    if text:
        path.write_text(text)
    refused(untouched, *words)


def test_a_missing_movie_is_named(untouched):
    (untouched.folder / "data" / "swimming.tif").unlink()
    refused(untouched, "swimming.tif")


def test_files_that_the_demo_will_make_may_be_absent(untouched):
    movies = untouched.folder / "config" / "acquisitions.tsv"
    table = pd.read_csv(movies, sep="\t")
    table["path"] = ["resources/demo/sparse.tif", "resources/demo/dim.tif"]
    table.to_csv(movies, sep="\t", index=False)
    assert untouched.planned()["simulate_movie"] == 2


def test_other_files_in_the_demos_folder_may_not(untouched):
    movies = untouched.folder / "config" / "acquisitions.tsv"
    table = pd.read_csv(movies, sep="\t").assign(path="resources/demo/mine.tif")
    table.to_csv(movies, sep="\t", index=False)
    refused(untouched, "resources/demo/mine.tif")


def test_a_config_elsewhere_works(untouched):
    other = untouched.folder / "other.yaml"
    (untouched.folder / "config" / "config.yaml").rename(other)
    assert untouched.planned("--configfile", str(other))["localize"] == 2


def test_a_new_project_runs_where_it_is(untouched, tmp_path):
    """Its example rows name these two files."""
    project = Workspace(untouched.tree, tmp_path / "project")
    new_project.write(project.folder)
    refused(project, "data/beads.tif: no such file", "data/movie.tif: no such file")
    shutil.copy(untouched.folder / "data" / "stack.tif", project.folder / "data" / "beads.tif")
    shutil.copy(untouched.folder / "data" / "swimming.tif", project.folder / "data" / "movie.tif")
    assert project.planned("preview") == {"ingest_beads": 1, "preview_movie": 1, "preview": 1}
