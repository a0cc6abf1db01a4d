"""Files that appear whole or not at all."""

import os
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path):
    """A path beside `path` to write to, which gets the name of `path` when the `with` block ends; after an error it is removed.

    So a job that is killed, or whose disk is full, leaves no half file that could be taken for a result.
    """
    path = Path(path)
    aside = path.with_name(f"unfinished_{path.name}")  # with the same ending, by which many writers tell the format
    try:
        yield aside
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write(path, content: str | bytes) -> None:
    """Write `content` to `path`, text as UTF-8, whole or not at all."""
    with whole(path) as aside:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)
