"""A stand-in for conda, with the few commands that Snakemake calls, where conda's public channels cannot be reached.

The env file is solved by conda's own rules (py-rattler) against a local channel that offers what requirements.lock has. What was
solved for, and what it depends on, is then put into a virtual environment: the files are those that pip installed beside this
Python, by links, which takes seconds where installing them once more takes minutes. In it, a file of the workflow can import nothing
but what the env file names (see `guard.py`).

Usage: conda.py --channel FOLDER, then conda's own arguments.
"""

import asyncio
import json
import shutil
import sys
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

import rattler
import yaml
from channel import on_pypi
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent


def main(channel: Path, arguments: list[str]) -> None:
    match arguments:
        case ["--version"]:
            print("conda 25.1.0")
        case ["info", "--json"]:
            print(json.dumps({"conda_prefix": str(channel), "platform": "linux-64"}))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create", "--quiet", "--no-default-packages", "--file", file, "--prefix", prefix]:
            create(yaml.safe_load(Path(file).read_text()), Path(prefix), channel)
        case ["clean", *_]:
            pass
        case _:
            sys.exit(f"the stand-in for conda does not know: conda {' '.join(arguments)}")


def create(environment: dict, prefix: Path, channel: Path) -> None:
    sources = [f"file://{channel}/{name}" for name in environment["channels"] if name != "nodefaults"]
    solved = asyncio.run(rattler.solve(sources, environment["dependencies"], platforms=["noarch"]))
    versions = {record.name.normalized: str(record.version) for record in solved}
    python = versions.pop("python")
    if python != "{}.{}.{}".format(*sys.version_info):
        sys.exit(f"solved for Python {python}, which this is not")
    venv.create(prefix, with_pip=False, symlinks=True)
    (site_packages,) = prefix.glob("lib/python*/site-packages")
    for package in with_dependencies([Requirement(f"{on_pypi(name)}=={version}") for name, version in versions.items()]):
        for file in package.files:
            link = site_packages / file
            if ".." not in file.parts and not link.is_symlink():  # not commands, which no rule calls; a file that two have, once
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(file.locate())
    shutil.copy(HERE / "guard.py", site_packages)
    (site_packages / "guard.pth").write_text("import guard\n")  # not as `sitecustomize`, of which Debian's Python has its own
    (prefix / "named.json").write_text(json.dumps([on_pypi(name) for name in versions]))


def with_dependencies(wanted: list[Requirement]) -> list[Distribution]:
    """The installed distributions of `wanted` and of all that they need. Exits where another version is installed."""
    found, seen = {}, set()
    while wanted:
        requirement = wanted.pop()
        name, extras = canonicalize_name(requirement.name), requirement.extras or {""}
        if name not in found:
            found[name] = distribution(name)
        if not requirement.specifier.contains(found[name].version, prereleases=True):
            sys.exit(f"{requirement} is wanted, and {found[name].version} installed")
        for needed in map(Requirement, found[name].requires or []):
            for extra in extras:
                if (name, str(needed), extra) not in seen and (needed.marker is None or needed.marker.evaluate({"extra": extra})):
                    seen.add((name, str(needed), extra))
                    wanted.append(needed)
    return list(found.values())


if __name__ == "__main__":
    main(Path(sys.argv[2]), sys.argv[3:])
