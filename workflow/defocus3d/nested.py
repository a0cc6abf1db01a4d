"""Snakemake within a run of Snakemake: for its report, for the summary of a run that failed, and for the benchmark's own analysis."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from defocus3d.provenance import WORKFLOW


def snakemake(arguments: list, config: dict, directory: Path | None = None, cores: int = 1) -> int:
    """The exit code of Snakemake with `arguments`, on this workflow, with `config` in place of that of any file.

    `directory`: the working directory; this one where it is not given.

    Without the lock, which the run that this is a part of holds, and without profiles, which are for running jobs.
    """
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "config.json")
        told.write_text(json.dumps(config))
        command = [sys.executable, "-m", "snakemake", *arguments, "--snakefile", WORKFLOW.parent / "Snakefile"]
        command += ["--directory", directory or Path.cwd(), "--cores", str(cores)]
        command += ["--configfile", told, "--replace-workflow-config", "--nolock"]
        command += ["--profile", "none", "--workflow-profile", "none"]
        return subprocess.run(command, stdin=subprocess.DEVNULL).returncode
