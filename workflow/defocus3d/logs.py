"""A rule's log: everything goes into its file, what a person waits for goes to the terminal too."""

import atexit
import gc
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

TOLD_S = 10.0  # between two messages of progress
ENDED = "ended"  # the last message of a job that was not killed


def start(snakemake) -> logging.Logger:
    """The logger `defocus3d`, whose messages go to the rule's log file and to the terminal.

    Call it before heavy imports: whatever they print, also from C++, goes to the log file and not to the terminal, and an error
    in them leaves its traceback there.

    Parameters
    ----------
    snakemake
        The object that Snakemake gives to a script.
    """
    path = Path(snakemake.log[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    log = open(path, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    terminal = os.fdopen(os.dup(sys.__stderr__.fileno()), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    for stream in (sys.__stdout__, sys.__stderr__):
        stream.flush()
        os.dup2(log.fileno(), stream.fileno())

    name = " ".join([snakemake.rule, *map(str, snakemake.wildcards)])
    to_log, to_terminal = logging.StreamHandler(log), logging.StreamHandler(terminal)
    to_log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    to_terminal.setFormatter(logging.Formatter(f"{name}: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[to_log], force=True)
    logging.captureWarnings(True)
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # it names every font that this machine lacks
    logger = logging.getLogger("defocus3d")
    logger.setLevel(logging.INFO)
    logger.handlers = [to_terminal]

    def report_error(kind, error, trace):
        logging.getLogger().critical("failed: %s", _in_words(error), exc_info=(kind, error, trace))
        print(f"{name}: {_in_words(error)} (details: {path})", file=terminal)

    sys.excepthook = report_error
    gc.set_threshold(100_000)  # imports and figures make many objects and few cycles: looking for them took a tenth of short jobs
    atexit.register(logging.getLogger().info, ENDED)
    atexit.register(gc.freeze)  # what is left goes with the process: to collect it object by object takes up to 0.2 s
    return logger


def batches(count: int, size: int, what: str) -> Iterator[int]:
    """First index of each batch of `size` out of `count`; from time to time the log tells how long the rest will take.

    `what`: what is counted, for the message, such as "frame".
    """
    start = told = time.monotonic()
    for first in range(0, count, size):
        if time.monotonic() - told > TOLD_S:
            told = time.monotonic()
            left = (told - start) / first * (count - first)
            logging.getLogger(__name__).info("%s %d of %d, %.0f s left", what, first, count, left)
        yield first


def _in_words(error: BaseException) -> str:
    """One line for the terminal: the message alone where it was written for a person to read, else its type before it."""
    message = " ".join(str(error).split())
    # by name, since to import the class would make every rule depend on the module that has it
    written_for_people = any(kind.__name__ in ("InputError", "InputErrors") for kind in type(error).__mro__)
    return message if written_for_people and message else f"{type(error).__name__}: {message}".rstrip(": ")
