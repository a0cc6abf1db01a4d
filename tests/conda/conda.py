"""A stand-in for conda, with the few commands that Snakemake calls, where conda's public channels cannot be reached.

The env file is solved by conda's own rules (py-rattler) against a local channel that offers what requirements.lock has. What was
solved for is then put into a virtual environment: Python as a copy of this one, all else from PyPI under its name there. In it, a
file of the workflow can import nothing but what the env file names (see `guard.py`).

Usage: conda.py --channel FOLDER, then conda's own arguments.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import rattler
import yaml
from channel import on_pypi

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
    packages = [f"{on_pypi(name)}=={version}" for name, version in versions.items()]
    pip = [sys.executable, "-m", "pip", "--python", prefix / "bin" / "python", "--disable-pip-version-check", "--no-input", "--quiet"]
    # without compiling, which takes as long as all the rest; modules that are used are compiled when they are
    subprocess.run([*pip, "install", "--no-compile", "--constraint", channel / "constraints.txt", *packages], check=True)
    (site_packages,) = prefix.glob("lib/python*/site-packages")
    shutil.copy(HERE / "guard.py", site_packages / "sitecustomize.py")
    (prefix / "named.json").write_text(json.dumps([on_pypi(name) for name in versions]))


if __name__ == "__main__":
    main(Path(sys.argv[2]), sys.argv[3:])
