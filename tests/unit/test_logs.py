"""A rule's log holds everything; the terminal shows messages, and an error in one line."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from defocus3d import logs

WORKFLOW = Path(__file__).parents[2] / "workflow"
START = """
import os, warnings
from types import SimpleNamespace
from defocus3d.logs import start
log = start(SimpleNamespace(log=["deep/rule.log"], rule="localize", wildcards=["dense"]))
"""


@pytest.fixture
def script(tmp_path):
    def run(code):
        finished = subprocess.run(
            [sys.executable, "-c", START + code], cwd=tmp_path, env={"PYTHONPATH": str(WORKFLOW), "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True,
        )  # fmt: skip
        return finished, (tmp_path / "deep" / "rule.log").read_text()

    return run


def test_messages_go_to_both_and_noise_to_the_log_alone(script):
    finished, log = script(
        """
log.info("step %d of %d", 3, 10)
print("printed")
os.system("echo from a child process; echo and its errors >&2")
warnings.warn("careful")
"""
    )
    assert finished.returncode == 0
    assert finished.stdout == ""
    assert finished.stderr == "localize dense: step 3 of 10\n"
    for text in ("step 3 of 10", "printed", "from a child process", "and its errors", "careful"):
        assert text in log


def test_an_error_is_one_line_on_the_terminal_and_a_traceback_in_the_log(script):
    finished, log = script('raise RuntimeError("no\\nspace left")\n')
    assert finished.returncode == 1
    assert finished.stderr == "localize dense: RuntimeError: no space left (details: deep/rule.log)\n"
    assert "Traceback" in log and "no\nspace left" in log


def test_an_error_about_the_input_is_its_message_alone(script):
    finished, log = script('from defocus3d.frames import InputError\nraise InputError("movie.tif: cut short; copy it again")\n')
    assert finished.stderr == "localize dense: movie.tif: cut short; copy it again (details: deep/rule.log)\n"
    assert "Traceback" in log


def test_a_failed_import_reaches_the_log(script):
    finished, log = script("import a_module_that_is_not_there\n")
    assert finished.returncode == 1
    assert "ModuleNotFoundError" in log


def test_progress_is_told_from_time_to_time(monkeypatch, caplog):
    clock = iter(range(0, 1000, 4))  # each look at the clock is four seconds later
    monkeypatch.setattr(logs.time, "monotonic", lambda: float(next(clock)))
    with caplog.at_level(logging.INFO):
        assert list(logs.batches(50, 8, "scene")) == [0, 8, 16, 24, 32, 40, 48]
    words = [record.message for record in caplog.records]
    assert 1 <= len(words) < 7 and all(re.fullmatch(r"scene \d+ of 50, \d+ s left", message) for message in words)
    left = [int(message.split()[-3]) for message in words]
    assert left == sorted(left, reverse=True)
