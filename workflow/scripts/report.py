"""Write the report, by Snakemake's own means, of everything that is made by now."""

from defocus3d.logs import start

log = start(snakemake)

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from defocus3d.figures.first_page import in_full
from defocus3d.provenance import WORKFLOW

output = Path(snakemake.output[0])
aside = output.with_name("unfinished_" + output.name)
summary = pd.read_csv("results/summary.csv", dtype={"acquisition": str}, keep_default_na=False, na_values=[""])
figures = ("psf", "scenes", "fcn", "training")
targets = [f"results/optics/{name}/figures/{figure}.png" for name in snakemake.params.optics for figure in figures]
shown = in_full(summary, Path("results"))
targets += [f"results/acquisitions/{name}/figures/{file}" for name in shown for file in ("frame.png", "tracks.html")]
if len(shown) < len(summary):
    log.info("%d of %d acquisitions fit in full; the pictures of all are in results/acquisitions", len(shown), len(summary))
with tempfile.TemporaryDirectory() as folder:
    config = Path(folder, "config.json")
    config.write_text(json.dumps(snakemake.config))
    command = [sys.executable, "-m", "snakemake", "results/summary.csv", *targets, "--report", aside]
    command += ["--report-stylesheet", WORKFLOW / "report" / "style.css", "--snakefile", WORKFLOW.parent / "Snakefile"]
    command += ["--directory", Path.cwd(), "--configfile", config, "--replace-workflow-config"]
    # the run that this is a job of holds the lock; its profile is for running jobs
    command += ["--nolock", "--profile", "none", "--workflow-profile", "none", "--cores", "1"]
    finished = subprocess.run(command, stdin=subprocess.DEVNULL)
if finished.returncode or not aside.exists():
    raise RuntimeError(f"snakemake --report ended with code {finished.returncode}; the report was not written")
os.replace(aside, output)
log.info("written to %s", output)
