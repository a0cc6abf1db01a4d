"""A full disk, a killed job and a killed Snakemake: the next run completes, with the networks of an undisturbed one."""

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


def weights(workspace, name) -> list[bytes]:
    network = keras.saving.load_model(workspace.result(f"optics/water/{name}.keras"), compile=False)
    return [value.tobytes() for value in network.get_weights()]


def table(workspace, path) -> pd.DataFrame:
    """The table, without the time that each step of a training took."""
    return pd.read_csv(workspace.result(path)).drop(columns="elapsed_s", errors="ignore")


def test_after_anything_the_next_run_gives_the_same_networks(finished, tiny, tmp_path):
    scenes, checkpoint = tiny.result("optics/water/scenes/training.npz"), tiny.result("optics/water/fcn_checkpoint.npz")
    scenes.unlink()
    full = subprocess.run(
        tiny.command("--until", "augment"), capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=tiny.folder,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE)),
    )  # fmt: skip
    assert full.returncode != 0
    assert "augment water: " in full.stderr
    assert not list(scenes.parent.glob("*training*"))

    with started(tiny, tmp_path / "job.txt") as run:
        wait_for(lambda: checkpoint.exists() and jobs_of(run, "train_fcn.py"))
        for job in jobs_of(run, "train_fcn.py"):
            job.kill()
        assert run.wait(PATIENCE_S) != 0
    assert not tiny.result("optics/water/fcn.keras").exists()

    with started(tiny, tmp_path / "snakemake.txt") as run:
        wait_for(lambda: jobs_of(run, "train_cnn.py"))
        left = jobs_of(run, "train_cnn.py")
        run.kill()
        for job in left:  # which would go on without it
            job.kill()
        psutil.wait_procs(left)
    assert "going on after step" in tiny.result("logs/optics/water/train_fcn.log").read_text()

    tiny.run("--unlock")
    tiny.run()
    assert not list(tiny.result("").rglob("unfinished_*")) and not checkpoint.exists()
    for name in ("fcn", "cnn"):
        assert weights(finished, name) == weights(tiny, name)
    # what follows from equal networks is equal as far as the sums of several threads are
    for path in ("optics/water/beads.csv", "optics/water/training.csv"):
        pd.testing.assert_frame_equal(table(finished, path), table(tiny, path), check_exact=True)
    assert tiny.planned() == {}
