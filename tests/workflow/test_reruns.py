"""What runs again after a change: all that depends on it, and nothing else."""

import time

import pandas as pd
import pytest
import yaml
from tiny_analysis import CONFIG, write_acquisitions

REPORTING = {"report": 1, "manifest": 1}
OPTICS = {"evaluate": 1, "draw_training": 1}
TRACKS = {"link": 2, "diffusion": 2, "draw_movie": 2, "summarize": 1}
MOVIES = {"localize": 2, **TRACKS}
ONE_MOVIE = {"link": 1, "diffusion": 1, "draw_movie": 1, "summarize": 1}
NETWORKS = {"augment": 1, "train_fcn": 1, "train_cnn": 1, "draw_networks": 1, **OPTICS, **MOVIES}
TRAINED = {job: count for job, count in NETWORKS.items() if job != "augment"}


def test_a_second_run_does_nothing_and_soon_says_so(finished):
    start = time.monotonic()
    assert "Nothing to be done" in finished.run()
    assert time.monotonic() - start < 20


def test_a_copy_elsewhere_is_up_to_date_too(tiny):
    assert tiny.planned() == {}


@pytest.mark.parametrize(
    ("module", "jobs"),
    [
        ("psf.py", {"ingest_beads": 1, **NETWORKS}),
        ("scenes.py", NETWORKS),
        ("models.py", TRAINED),
        ("network.py", {**OPTICS, **MOVIES}),
        ("trained.py", {}),  # only where networks come from elsewhere
        ("assessment.py", {**OPTICS, **MOVIES}),
        ("localization.py", {**OPTICS, **MOVIES}),
        ("linking.py", TRACKS),
        ("figures/training.py", {"draw_training": 1}),
        ("figures/motion.py", {"draw_movie": 2, "summarize": 1}),  # the same job makes the small picture of the first page
        ("summary.py", {"summarize": 1}),
        ("microscope.py", {}),  # only the demo's simulation, which this analysis has nothing of
    ],
)
def test_a_changed_module_reruns_what_imports_it(tiny, module, jobs):
    with open(tiny.tree / "workflow" / "defocus3d" / module, "a") as file:
        file.write("# changed\n")
    assert tiny.planned() == {**jobs, **REPORTING}


def test_a_touched_module_reruns_nothing(tiny):
    for path in (tiny.tree / "workflow" / "defocus3d").glob("*.py"):
        path.touch()
    assert tiny.planned() == {}


@pytest.mark.parametrize(
    ("setting", "jobs"),
    [
        ({"brownian": {"bootstrap": 60}}, {"diffusion": 2, "draw_movie": 2, "summarize": 1}),
        ({"linking": {"min_track_frames": 6}}, TRACKS),
        ({"localization": {"search": "thorough"}}, {"draw_training": 1, **MOVIES}),
        ({"localization": {"batch_frames": 8}}, MOVIES),
        ({"training": {"cnn_steps": 151}}, {"train_cnn": 1, "draw_networks": 1, **OPTICS, **MOVIES}),
        ({"training": {"fcn_steps": 251}}, TRAINED),
    ],
    ids=str,
)
def test_a_changed_setting_reruns_what_uses_it(tiny, setting, jobs):
    config = {key: {**value, **setting.get(key, {})} if isinstance(value, dict) else value for key, value in {**setting, **CONFIG}.items()}
    (tiny.folder / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    assert tiny.planned() == {**jobs, **REPORTING}


def test_one_more_movie_runs_only_its_own_jobs(tiny):
    write_acquisitions(
        tiny.folder, {"swimming": "data/swimming.tif", "nobody": "data/nobody.tif", "again": "data/swimming.tif"}
    )
    assert tiny.planned() == {"localize": 1, **ONE_MOVIE, **REPORTING}


def test_a_corrected_temperature_does_not_localize_again(tiny):
    sheet = tiny.folder / "config" / "acquisitions.tsv"
    table = pd.read_csv(sheet, sep="\t", dtype={"temperature_c": float})
    table.loc[0, "temperature_c"] = 25.5
    table.to_csv(sheet, sep="\t", index=False)
    jobs = tiny.planned()
    assert jobs == {**ONE_MOVIE, **REPORTING}


def test_a_changed_caption_makes_the_report_again(tiny):
    with open(tiny.tree / "workflow" / "report" / "psf.rst", "a") as file:
        file.write("\nChanged.\n")
    assert tiny.planned() == {"report": 1}


@pytest.mark.parametrize(("path", "rule"), [("summary.csv", "summarize"), ("manifest.json", "manifest")])
def test_what_a_killed_job_did_not_make_is_made_though_the_report_is_there(tiny, path, rule):
    tiny.result(path).unlink()
    assert {rule, "report"} <= set(tiny.planned())


def test_a_failed_and_mended_run_leaves_no_old_result(tiny):
    script = tiny.tree / "workflow" / "scripts" / "link.py"
    good = script.read_text()
    script.write_text(good + '\nraise ValueError("broken for a test")\n')
    failed = tiny.snakemake()
    assert failed.returncode != 0
    assert "link swimming: ValueError: broken for a test" in failed.stdout
    assert "Traceback" not in failed.stdout
    log = tiny.result("logs/acquisitions/swimming/link.log")
    assert "Traceback" in log.read_text() and "broken for a test" in log.read_text()

    script.write_text(good)
    assert {"link", "diffusion", "summarize", "report"} <= set(tiny.planned())
    tiny.run()
    assert tiny.planned() == {}
