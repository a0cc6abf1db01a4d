"""What a run could not finish, and why: from which results are missing, and from the logs."""

import re
from pathlib import Path

from defocus3d.logs import ENDED

NO_MESSAGE = "ended without a message: killed, or out of memory or time"


def unfinished(results: Path, expected: dict[str, list[str]]) -> dict[str, str]:
    """Reasons by folder for those of which a file is missing.

    Parameters
    ----------
    results : Path
        Folder of the results; the logs of `folder` are in `logs/folder`.
    expected : dict
        Files by folder, such as {"acquisitions/dim": ["tracks.parquet"]}; a folder is relative to `results`.
    """
    return {
        folder: reason(results / "logs" / folder)
        for folder, files in expected.items()
        if not all((results / folder / file).exists() for file in files)
    }


def reason(logs: Path) -> str:
    """The error with which the last job that wrote into the folder of logs ended, with the job's name before it."""
    written = sorted(logs.glob("*.log"), key=lambda log: log.stat().st_mtime_ns)
    if not written:
        return "not reached"
    last, told = written[-1].stem, written[-1].read_text(encoding="utf-8", errors="replace")
    errors = re.findall(r"CRITICAL root: failed: (.+)", told)
    if not errors and f"INFO root: {ENDED}\n" in told:
        return f"stopped after {last}"
    return f"{last}: {errors[-1] if errors else NO_MESSAGE}"
