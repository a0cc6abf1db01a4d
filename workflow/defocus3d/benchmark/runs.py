"""Running a method on the benchmark's movies: what it finds, and the time and memory that it takes."""

import logging
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from defocus3d.benchmark import sets

logger = logging.getLogger(__name__)

MB = 1e6


def run(locate: Callable[[str], pd.DataFrame], movies: list[str]) -> tuple[pd.DataFrame, dict]:
    """What `locate` finds in the movies, and the speed of it; a job of its own for each method, since memory is that of the process.

    Parameters
    ----------
    locate : function
        Table of localizations of the movie of that name, reading of the file included.
    movies : list of str
        Names of all data sets.

    Returns
    -------
    DataFrame with the columns of `locate` and `set`, and a dict: `seconds` by movie of those that measure speed, and `peak_mb`, the
    largest memory by the end of the first of them.
    """
    for name in ("speed_short", "speed_small", "speed_large"):  # each shape of image once, which compiles and warms up
        locate(name)
    seconds, parts = {}, []
    for name in sorted(movies, key=lambda name: (name != "speed", not name.startswith("speed"))):
        started = time.perf_counter()
        parts.append(locate(name).assign(set=name))
        taken = time.perf_counter() - started
        if name.startswith("speed"):
            seconds[name] = taken
        if name == "speed":
            peak = peak_mb()
        logger.info("%s: %d localizations in %.1f s", name, len(parts[-1]), taken)
    return pd.concat(parts, ignore_index=True), {"seconds": seconds, "peak_mb": peak}


def peak_mb() -> float:
    """Largest memory of this process so far, in MB (1e6 bytes)."""
    status = Path("/proc/self/status")
    if status.exists():  # what follows counts the parent's too, if that was larger when it started this one
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024 / MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / MB


def speed(measured: dict, movies: dict) -> dict:
    """Row `frames`, `seconds`, `frames_per_s`, `peak_mb` of one method, from what `run` measured on the movie of that name."""
    seconds, frames = measured["seconds"]["speed"], movies["speed"].frames
    return {"frames": frames, "seconds": seconds, "frames_per_s": frames / seconds, "peak_mb": measured["peak_mb"]}


def growth(measured: dict, movies: dict) -> list[dict]:
    """Rows `grows_with`, `value`, `frames`, `seconds` of one method."""
    return [{"grows_with": what, "value": value, "frames": movies[name].frames, "seconds": measured["seconds"][name]}
            for what, names in sets.GROWTH.items() for value, name in names.items()]  # fmt: skip
