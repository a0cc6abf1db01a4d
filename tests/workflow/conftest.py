"""A tiny analysis, run once, that the tests of the workflow look at."""

import shutil
from pathlib import Path

import pytest
from tiny_analysis import ROOT, Workspace, copy_of_the_workflow, write_input


@pytest.fixture(scope="session")
def tiny_input(tmp_path_factory) -> Path:
    """A folder with the config and the data of the tiny analysis."""
    folder = tmp_path_factory.mktemp("input") / "tiny"
    write_input(folder)
    return folder


@pytest.fixture(scope="session")
def finished(tiny_input, tmp_path_factory) -> Workspace:
    """The tiny analysis, done."""
    tree = copy_of_the_workflow(tmp_path_factory.mktemp("tree"))
    workspace = Workspace(tree, Path(shutil.copytree(tiny_input, tmp_path_factory.mktemp("run") / "tiny")))
    workspace.run()
    return workspace


@pytest.fixture
def tiny(finished, tmp_path) -> Workspace:
    """A copy of the workflow and of the finished analysis, for a test to change."""
    tree = tmp_path / "tree"
    tree.mkdir()
    return Workspace(copy_of_the_workflow(tree), Path(shutil.copytree(finished.folder, tmp_path / "tiny")))


@pytest.fixture
def untouched(tiny_input, tmp_path) -> Workspace:
    """The tiny analysis before its first run."""
    return Workspace(ROOT, Path(shutil.copytree(tiny_input, tmp_path / "untouched")))
