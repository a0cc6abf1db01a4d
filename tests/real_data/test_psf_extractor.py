"""The whole workflow on a real bead stack: a third of the beads held out, its planes localized as a movie."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("DEFOCUS3D_SHARED_DATA") or ROOT.parent / "shared" / "data") / "psf_extractor_zstack"
Z_STEP_UM, SCORED_UM = 0.3, 1.8

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="real stack not found: set DEFOCUS3D_SHARED_DATA to the folder that holds psf_extractor_zstack"
)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = shutil.copytree(Path(__file__).parent / "psf_extractor", tmp_path_factory.mktemp("real") / "run")
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder, "--cores", "2",
               "--configfile", folder / "config.yaml", "--config", f"data_folder={DATA.resolve()}"]  # fmt: skip
    finished = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
    assert finished.returncode == 0, finished.stdout
    return folder / "results"


@pytest.fixture(scope="module")
def held_out(results):
    """Held-out beads in each plane within the scored range, with the localization of each: columns z_stage_um, z_um."""
    beads = pd.read_csv(results / "optics/air_0p95/beads.csv", keep_default_na=False)
    beads = beads[beads["role"] == "held_out"].astype({"x_um": float, "y_um": float, "z_um": float})
    found = pd.read_parquet(results / "acquisitions/planes/localizations.parquet")
    found = found[found["flag"] == 0]
    rows = []
    for bead in beads.itertuples():
        for frame in range(34):
            stage = frame * Z_STEP_UM - bead.z_um
            here = found[found["frame"] == frame]
            distance = np.hypot(here["x_um"] - bead.x_um, here["y_um"] - bead.y_um)
            if abs(stage) <= SCORED_UM:
                seen = len(here) and distance.min() < 0.25
                rows.append((bead.bead, stage, here["z_um"].iloc[int(np.argmin(distance))] if seen else np.nan))
    return pd.DataFrame(rows, columns=["bead", "z_stage_um", "z_um"])


def test_a_third_of_the_beads_is_held_out(results):
    roles = pd.read_csv(results / "optics/air_0p95/beads.csv")["role"].value_counts()
    assert roles["held_out"] / (roles["held_out"] + roles["psf"]) == pytest.approx(1 / 3, abs=0.05)


def test_held_out_beads_are_found(held_out):
    assert held_out["z_um"].notna().mean() >= 0.9


def test_axial_error_against_the_stage(held_out):
    found = held_out.dropna()
    error = found["z_um"] - found["z_stage_um"]
    print(f"axial RMSE {1e3 * np.sqrt((error**2).mean()):.1f} nm, slope {np.polyfit(found['z_stage_um'], found['z_um'], 1)[0]:.4f}")
    assert np.sqrt((error**2).mean()) <= 0.070
    assert np.polyfit(found["z_stage_um"], found["z_um"], 1)[0] == pytest.approx(1, abs=0.03)


def test_the_held_out_error_is_in_the_evaluation(results):
    table = pd.read_csv(results / "optics/air_0p95/evaluation.csv")
    rows = table[(table["source"] == "held_out_beads") & (table["axis"] == "all")]
    assert set(rows["stage"]) == {"networks", "quick", "thorough"}
    assert rows["rmse_z_um"].notna().all() and rows["slope_z"].notna().all()
