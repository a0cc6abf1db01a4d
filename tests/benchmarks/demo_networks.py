"""An analysis of simulated movies with the networks of the demo, run by the workflow itself."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
import yaml

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests" / "workflow")]

from tiny_analysis import write_acquisitions

from defocus3d.psf import PSF

OPTICS = ROOT / "results" / "optics" / "water_1p2"


def write_analysis(folder: Path, movies: dict[str, np.ndarray], search: str) -> dict:
    """The config of an analysis of `movies`, counts (frames, rows, columns) by name, that is written to the empty `folder`."""
    for part in ("config", "data"):
        (folder / part).mkdir(parents=True)
    for name, counts in movies.items():
        tifffile.imwrite(folder / "data" / f"{name}.tif", counts, photometric="minisblack")
    trained = {"optics": ["water"], "trained": str(OPTICS), "pixel_size_um": PSF.load(OPTICS / "psf.npz").pixel_size_um}
    pd.DataFrame(trained).to_csv(folder / "config" / "bead_stacks.tsv", sep="\t", index=False)
    write_acquisitions(folder, {name: f"data/{name}.tif" for name in movies})
    config = {"bead_stacks": "config/bead_stacks.tsv", "acquisitions": "config/acquisitions.tsv", "axial_range_um": "auto"}
    config |= {"localization": {"search": search}}
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    return config


def run(folder: Path, cores: int, *quiet: str) -> None:
    """The workflow on the analysis in `folder`; `quiet`: what Snakemake keeps to itself. Raises CalledProcessError where it fails."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder, "--cores", str(cores)]
    subprocess.run([*command, "--quiet", *quiet], check=True)
