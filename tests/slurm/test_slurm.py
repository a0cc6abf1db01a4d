"""The workflow through Snakemake's SLURM executor and the profile that is shipped: the same tables, and requests that make sense."""

import re
from concurrent.futures import ThreadPoolExecutor

import cluster
import pandas as pd
import pytest
from tiny_analysis import Workspace, copy_of_the_workflow, write_acquisitions, write_input

MOVIES = {"first": "data/swimming.tif", "second": "data/nobody.tif", "third": "data/swimming.tif"}
# this cluster has no accounting; and it is not asked for news as seldom as a shared one
SITE = ["--slurm-no-account", "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1"]
SITE += ["--seconds-between-status-checks", "1", "--latency-wait", "5"]
TRAINING = ("train_fcn", "train_cnn")
STEPS = {"localize", "link", "diffusion", "draw_movie"}


@pytest.fixture(scope="session")
def workspaces(tmp_path_factory):
    """Gives the same analysis in a new folder at each call."""
    tree = copy_of_the_workflow(tmp_path_factory.mktemp("tree"))

    def new() -> Workspace:
        folder = tmp_path_factory.mktemp("run") / "tiny"
        write_input(folder)
        write_acquisitions(folder, MOVIES)
        return Workspace(tree, folder)

    return new


@pytest.fixture(scope="session")
def both(slurm, workspaces):
    """The analysis, run by the cluster and, at the same time, without it; and the cluster's records of its jobs, by rule."""
    submitted, local = workspaces(), workspaces()
    with ThreadPoolExecutor(1) as aside:
        done = aside.submit(local.run)
        submitted.run("--workflow-profile", str(submitted.tree / "profiles" / "slurm"), *SITE)
        done.result()
    records = {}
    for job in cluster.jobs():
        records.setdefault(re.sub("^rule_|_wildcards_.*", "", job["Comment"]), []).append(job)
    return submitted, local, records


def jobs_of_movies(records) -> list:
    """The records of the jobs that are all steps of a movie, and named by them."""
    (jobs,) = [jobs for name, jobs in records.items() if all(step in name for step in STEPS)]
    return jobs


def test_the_tables_are_those_of_a_local_run(both):
    submitted, local, _ = both
    paths = [path.relative_to(local.result("")) for path in local.result("").rglob("*")]
    tables = [path for path in paths if path.suffix in (".csv", ".parquet", ".json") and path.name != "manifest.json"]
    assert len(tables) >= 5 * len(MOVIES) + 6
    for path in tables:
        files = [run.result(path) for run in (submitted, local)]
        if path.name.endswith("training.csv"):  # it tells the time that each step took
            curves = (pd.read_csv(file).drop(columns="elapsed_s") for file in files)
            pd.testing.assert_frame_equal(*curves, check_exact=True)
        else:
            assert files[0].read_bytes() == files[1].read_bytes(), path


def test_every_job_went_through_the_cluster_and_ended_well(both):
    *_, records = both
    assert {"ingest_beads", "augment", *TRAINING, "evaluate", "summarize", "manifest", "report"} <= set(records)
    for jobs in records.values():
        for job in jobs:
            assert (job["JobState"], job["Partition"]) == ("COMPLETED", cluster.PARTITION)


def test_a_movie_is_one_job(both):
    *_, records = both
    assert not STEPS & set(records)
    assert len(jobs_of_movies(records)) == len(MOVIES)


def test_requests_are_those_of_the_rules(both):
    *_, records = both
    for rule in TRAINING:
        (job,) = records[rule]
        assert "mem=8000M" in job["TRES"] and job["TimeLimit"] == "08:00:00"
        assert "gpu" not in job.get("TresPerNode", "")
    for job in jobs_of_movies(records):
        assert "cpu=2,mem=2000M" in job["TRES"]  # its steps follow each other: the most that one of them needs
