"""Imported at the start of an environment's Python: files of the workflow may import only what the env file names, and only from there.

Two ways to go wrong would else go unseen. Snakemake adds its own packages to a script's path; and what one package needs is there for
all, until it no longer needs it. Notes each script that ran in `ran.txt` of the environment.
"""

import builtins
import importlib.metadata
import json
import re
import sys
from pathlib import Path

PREFIX = Path(sys.prefix)
ITS_OWN = {*sys.stdlib_module_names, "defocus3d"}
import_as_before = builtins.__import__
modules_of = None


def named() -> set[str]:
    """Top-level modules of the packages that the env file names."""
    global modules_of
    if modules_of is None:
        packages = {re.sub("[-_.]+", "-", name) for name in json.loads((PREFIX / "named.json").read_text())}
        here = importlib.metadata.packages_distributions().items()
        modules_of = {module for module, owners in here if packages & {re.sub("[-_.]+", "-", owner.lower()) for owner in owners}}
    return modules_of


def guarded_import(name, globals=None, locals=None, fromlist=(), level=0):
    file = (globals or {}).get("__file__") or ""
    script = sys.argv[0] if (globals or {}).get("__name__") == "__main__" else ""
    ours = "/workflow/defocus3d/" in file or "/.snakemake/scripts/" in script
    top = name.partition(".")[0]
    # Snakemake's preamble of a script takes what it needs from Snakemake's own packages
    if ours and level == 0 and top not in ITS_OWN and not (script and top == "snakemake") and top not in named():
        raise ModuleNotFoundError(f"{top} is imported, but {PREFIX.name}'s env file does not name its package", name=top)
    return import_as_before(name, globals, locals, fromlist, level)


builtins.__import__ = guarded_import
for argument in sys.orig_argv:
    if script := re.search(r"/\.snakemake/scripts/\w+\.(\w+\.py)$", argument):
        with open(PREFIX / "ran.txt", "a") as file:
            file.write(f"{script[1]}\n")
