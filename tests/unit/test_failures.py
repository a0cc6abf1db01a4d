"""What is not finished is told from missing files; why, from the log that was written last."""

import os

from defocus3d.failures import NO_MESSAGE, unfinished

EXPECTED = {"acquisitions/a": ["localizations.parquet", "tracks.parquet"], "acquisitions/b": ["tracks.parquet"]}


def log(results, path, text, age):
    file = results / "logs" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    os.utime(file, (1e9 - age, 1e9 - age))


def test_the_last_job_that_wrote_a_log_is_the_one_that_failed(tmp_path):
    (tmp_path / "acquisitions" / "b").mkdir(parents=True)
    (tmp_path / "acquisitions" / "b" / "tracks.parquet").touch()
    log(tmp_path, "acquisitions/a/link.log", "2026 CRITICAL root: failed: ValueError: of another run\n", age=100)
    log(tmp_path, "acquisitions/a/localize.log", "2026 CRITICAL root: failed: a.tif: is damaged\nTraceback ...\n", age=10)
    assert unfinished(tmp_path, EXPECTED) == {"acquisitions/a": "localize: a.tif: is damaged"}


def test_a_job_that_was_killed_has_no_last_words(tmp_path):
    log(tmp_path, "acquisitions/a/localize.log", "2026 INFO defocus3d: frame 3 of 40\n", age=0)
    assert unfinished(tmp_path, EXPECTED) == {"acquisitions/a": f"localize: {NO_MESSAGE}", "acquisitions/b": "not reached"}


def test_a_job_that_ended_well_is_not_to_blame(tmp_path):
    log(tmp_path, "acquisitions/a/localize.log", "2026 INFO defocus3d: 30 localizations\n2026 INFO root: ended\n", age=0)
    assert unfinished(tmp_path, EXPECTED)["acquisitions/a"] == "stopped after localize"
