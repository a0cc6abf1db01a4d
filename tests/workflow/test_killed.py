"""A full disk, a killed job and a killed Snakemake: the next run completes, with the tables and networks of an undisturbed one."""

import resource
import subprocess
import time
from contextlib import contextmanager

import keras
import pandas as pd
import psutil

PATIENCE_S = 300
LARGEST_FILE = 300_000  # bytes: the training scenes are larger


@contextmanager
def started(workspace, output, **how):
    """A run in the background; whatever is left of it is ended."""
    with open(output, "w") as file:
        run = subprocess.Popen(workspace.command(), stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                               cwd=workspace.folder, **how)  # fmt: skip
    try:
        yield run
    finally:
        run.kill()
        run.wait()


def jobs_of(run, script):
    """Processes below the run that execute the script."""
    return [child for child in psutil.Process(run.pid).children(recursive=True) if any(script in word for word in words_of(child))]


def words_of(process) -> list[str]:
    """Its command line; empty of one that ended since it was listed."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_after_anything_the_next_run_gives_the_same_tables(finished, untouched, tmp_path):
    """From nothing, disturbed at three of its steps; so this is also whether the same seed gives the same."""
    scenes, checkpoint = untouched.result("optics/water/scenes/training.npz"), untouched.result("optics/water/fcn_checkpoint.npz")
    untouched.run("--until", "ingest_beads")
    full = subprocess.run(
        untouched.command("--until", "augment"), capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=untouched.folder,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE)),
    )  # fmt: skip
    assert full.returncode != 0
    assert "augment water: " in full.stderr
    assert not list(scenes.parent.glob("*training*"))

    with started(untouched, tmp_path / "job.txt") as run:
        wait_for(lambda: checkpoint.exists() and jobs_of(run, "train_fcn.py"))
        for job in jobs_of(run, "train_fcn.py"):
            job.kill()
        assert run.wait(PATIENCE_S) != 0
    assert not untouched.result("optics/water/fcn.keras").exists()

    with started(untouched, tmp_path / "snakemake.txt") as run:
        wait_for(lambda: jobs_of(run, "train_cnn.py"))
        left = jobs_of(run, "train_cnn.py")
        run.kill()
        for job in left:  # which would go on without it
            job.kill()
        psutil.wait_procs(left)
    assert "going on after step" in untouched.result("logs/optics/water/train_fcn.log").read_text()

    untouched.run("--unlock")
    untouched.run()
    assert not list(untouched.result("").rglob("unfinished_*")) and not checkpoint.exists()
    assert untouched.planned() == {}

    paths = [path.relative_to(finished.result("")) for path in finished.result("").rglob("*")]
    curves = ["training.csv", "fcn_training.csv"]  # they tell the time that each step took
    tables = [path for path in paths if path.suffix in (".csv", ".parquet") and path.name not in curves]
    assert len(tables) >= 9
    assert [str(path) for path in tables if finished.result(path).read_bytes() != untouched.result(path).read_bytes()] == []
    told = [pd.read_csv(run.result("optics/water/training.csv")).drop(columns="elapsed_s") for run in (finished, untouched)]
    pd.testing.assert_frame_equal(*told, check_exact=True)
    for name in ("fcn", "cnn"):
        assert weights(finished, name) == weights(untouched, name)


def weights(workspace, name) -> list[bytes]:
    network = keras.saving.load_model(workspace.result(f"optics/water/{name}.keras"), compile=False)
    return [value.tobytes() for value in network.get_weights()]
