"""A SLURM cluster of this machine; and the tiny analysis of tests/workflow can be imported."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

import cluster


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A running cluster. Without one the tests are skipped; but on CI they fail, since there nothing may go untested."""
    try:
        cluster.install()
    except cluster.Unavailable as reason:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(f"no SLURM: {reason}", pytrace=False)
        pytest.skip(f"no SLURM: {reason}")
    with cluster.running(tmp_path_factory.mktemp("slurm") / "cluster", cpus=os.cpu_count()):
        yield
