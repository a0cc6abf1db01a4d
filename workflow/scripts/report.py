"""Write the report, by Snakemake's own means, of everything that is made by now."""

from defocus3d.logs import start

log = start(snakemake)

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from defocus3d.provenance import WORKFLOW

output = Path(snakemake.output[0])
aside = output.with_name("unfinished_" + output.name)
with tempfile.TemporaryDirectory() as folder:
    config = Path(folder, "config.json")
    config.write_text(json.dumps(snakemake.config))
    command = [sys.executable, "-m", "snakemake", "results", "--report", aside, "--snakefile", WORKFLOW.parent / "Snakefile"]
    command += ["--directory", Path.cwd(), "--configfile", config, "--replace-workflow-config"]
    # the run that this is a job of holds the lock; its profile is for running jobs
    command += ["--nolock", "--profile", "none", "--workflow-profile", "none", "--cores", "1"]
    finished = subprocess.run(command, stdin=subprocess.DEVNULL)
if finished.returncode or not aside.exists():
    raise RuntimeError(f"snakemake --report ended with code {finished.returncode}; the report was not written")
os.replace(aside, output)
log.info("written to %s", output)
