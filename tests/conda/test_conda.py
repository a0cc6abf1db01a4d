"""Each conda environment, built from its env file alone, runs its rules."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import channel
import pytest
import yaml
from tiny_analysis import ROOT, Workspace, copy_of_the_workflow, write_acquisitions, write_input

HERE = Path(__file__).parent
SCRIPTS = {
    "imaging": {"ingest_beads.py", "augment.py", "preview_movie.py", "preview.py"},
    "keras": {"train_fcn.py", "train_cnn.py", "draw_networks.py"},
    "localization": {"evaluate.py", "localize.py", "benchmark_localize.py"},
    "tracking": {"link.py", "diffusion.py", "export.py"},
    "report": {"draw_training.py", "draw_movie.py", "summarize.py", "manifest.py", "report.py", "benchmark_train.py"},
    "simulation": {"simulate_beads.py", "benchmark_stack.py", "benchmark_movies.py"},
    "benchmark": {"benchmark_baseline.py", "benchmark_scores.py", "benchmark_report.py"},
}  # fmt: skip
# what `rule all` of this analysis does not make: an export, a look before training, the first of the demo's stacks, and the benchmark
MORE = ["results/acquisitions/swimming/exports/picasso.hdf5", "results/preview.html", "resources/demo/beads_a.tif", "benchmark"]


@pytest.fixture(scope="session")
def conda(tmp_path_factory):
    """`--sdm conda` finds the stand-in and the local channel."""
    folder = tmp_path_factory.mktemp("conda")
    channel.write_channels(folder, ROOT / "requirements.lock")
    (folder / "bin").mkdir()
    (folder / "bin" / "conda").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "conda.py"}" --channel "{folder}" "$@"\n')
    (folder / "bin" / "conda").chmod(0o755)
    (folder / "bin" / "activate").write_text('export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
        yield


@pytest.fixture(scope="session")
def workspace(conda, tmp_path_factory) -> Workspace:
    """The tiny analysis with one movie, and a little more, made in conda environments."""
    tree = copy_of_the_workflow(tmp_path_factory.mktemp("tree"))
    folder = tmp_path_factory.mktemp("run") / "tiny"
    write_input(folder)
    write_acquisitions(folder, {"swimming": "data/swimming.tif"})
    workspace = Workspace(tree, folder)
    workspace.run("--sdm", "conda", "--config", "benchmark={size: tiny}", "--", "results/report.html", *MORE)
    return workspace


def prefixes(workspace) -> dict[str, Path]:
    """The environments by the names of their env files."""
    texts = {path.read_text(): path.stem for path in (workspace.tree / "envs").glob("*.yaml")}
    return {texts[path.read_text()]: path.with_suffix("") for path in (workspace.folder / ".snakemake" / "conda").glob("*.yaml")}


def test_no_environment_is_left_out():
    assert set(SCRIPTS) == {path.stem for path in (ROOT / "envs").glob("*.yaml")}


@pytest.mark.parametrize("environment", SCRIPTS)
def test_an_environment_runs_its_rules(workspace, environment):
    assert set((prefixes(workspace)[environment] / "ran.txt").read_text().split()) == SCRIPTS[environment]


@pytest.mark.parametrize("environment", SCRIPTS)
def test_versions_are_those_that_the_env_file_was_solved_for(workspace, environment):
    prefix = prefixes(workspace)[environment]
    program = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in json.load(open(sys.argv[1]))}))"
    found = subprocess.check_output([prefix / "bin" / "python", "-I", "-c", program, prefix / "named.json"], text=True)
    locked = channel.locked(ROOT / "requirements.lock")
    assert all(locked[name] == version for name, version in json.loads(found).items())


def test_an_import_that_an_env_file_does_not_name_fails(workspace, tmp_path):
    """Though Snakemake's own environment, which is on the script's path, has the package."""
    assert importlib.util.find_spec("trackpy")
    tree = copy_of_the_workflow(tmp_path)
    file = tree / "envs" / "tracking.yaml"
    content = yaml.safe_load(file.read_text())
    content["dependencies"] = [line for line in content["dependencies"] if not line.startswith("trackpy")]
    file.write_text(yaml.safe_dump(content))
    folder = shutil.copytree(workspace.folder, tmp_path / "tiny", ignore=shutil.ignore_patterns("conda"))
    table = "results/acquisitions/swimming/tracks.parquet"
    # an environment of another folder counts as changed: without `mtime` all would be made again
    run = Workspace(tree, folder).snakemake("--sdm", "conda", "--rerun-triggers", "mtime", "--forcerun", "link", "--until", "link", "--", table)
    assert run.returncode != 0
    assert "trackpy is imported, but" in run.stdout


def test_a_range_that_no_version_meets_is_refused(workspace, tmp_path):
    tree = copy_of_the_workflow(tmp_path)
    file = tree / "envs" / "tracking.yaml"
    file.write_text(file.read_text().replace("trackpy >=0.6.4", "trackpy >=99"))
    run = Workspace(tree, workspace.folder).snakemake("--sdm", "conda", "--conda-create-envs-only")
    assert run.returncode != 0
    assert "trackpy" in run.stdout
