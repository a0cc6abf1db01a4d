"""A folder for an analysis of one's own, to be filled in: `make new DIR=folder` makes it."""

import shlex
import sys
from pathlib import Path

from defocus3d import files
from defocus3d.frames import InputError

CHECKOUT = Path(__file__).parents[2]
TEMPLATE = CHECKOUT / "workflow" / "template"


def write(folder: Path) -> list[Path]:
    """The files of a new project, relative to `folder`, which are written to it.

    Raises InputError where one of them is there already; nothing is written then.
    """
    names = sorted(path.relative_to(TEMPLATE) for path in TEMPLATE.rglob("*") if path.is_file())
    for name in names:
        if (folder / name).exists():
            raise InputError(f"{folder / name} is there already and would be overwritten; name another folder, or remove it")
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name in names:
        text = (TEMPLATE / name).read_text(encoding="utf-8")
        for mark, path in (("@DEFOCUS3D@", CHECKOUT), ("@PROJECT@", folder)):
            text = text.replace(mark, shlex.quote(str(path.resolve())))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        files.write(folder / name, text)
    return names


if __name__ == "__main__":
    project = Path(sys.argv[1])
    try:
        written = write(project)
    except (InputError, OSError) as error:
        sys.exit(f"Not made: {error}")
    print(f"Written to {project}: {', '.join(map(str, written))}")
    print("Fill in the two sheets and the camera, then look at your data before anything is trained:")
    print(f"  .venv/bin/snakemake --directory {shlex.quote(str(project))} --cores 8 preview")
