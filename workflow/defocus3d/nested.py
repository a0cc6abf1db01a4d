"""Snakemake within a run of Snakemake: for its report, and for the summary of a run that failed."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from defocus3d.provenance import WORKFLOW


def snakemake(arguments: list, config: dict) -> int:
    """The exit code of Snakemake with `arguments`, on this workflow and in this folder, with `config` in place of that of any file.

    Without the lock, which the run that this is a part of holds, and without profiles, which are for running jobs.
    """
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "config.json")
        told.write_text(json.dumps(config))
        command = [sys.executable, "-m", "snakemake", *arguments, "--snakefile", WORKFLOW.parent / "Snakefile", "--directory", Path.cwd()]
        command += ["--configfile", told, "--replace-workflow-config", "--nolock", "--cores", "1"]
        command += ["--profile", "none", "--workflow-profile", "none"]
        return subprocess.run(command, stdin=subprocess.DEVNULL).returncode
