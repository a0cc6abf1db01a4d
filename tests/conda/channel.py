"""A local conda channel: what requirements.lock has, and Python, as empty packages, under their names on conda-forge."""

import json
import re
import sys
from pathlib import Path

from packaging.requirements import Requirement

CHANNELS = ("conda-forge", "bioconda")
ON_CONDA = {"matplotlib": "matplotlib-base", "snakemake": "snakemake-minimal", "tensorflow-cpu": "tensorflow"}


def on_pypi(name: str) -> str:
    """The name on PyPI of a package on conda-forge."""
    return {conda: pypi for pypi, conda in ON_CONDA.items()}.get(name, name)


def locked(lock: Path) -> dict[str, str]:
    """Versions by name on PyPI of what the lock has for this machine."""
    lines = re.findall(r"^([a-z0-9].*?)(?: \\)?$", lock.read_text(), re.MULTILINE)
    wanted = [requirement for requirement in map(Requirement, lines) if requirement.marker is None or requirement.marker.evaluate()]
    return {requirement.name: str(requirement.specifier).removeprefix("==") for requirement in wanted}


def write_channels(folder: Path, lock: Path) -> None:
    """Write the channels into `folder`."""
    versions = locked(lock)
    offered = {ON_CONDA.get(name, name): version for name, version in versions.items()}
    offered["python"] = "{}.{}.{}".format(*sys.version_info)
    records = {}
    for name, version in offered.items():
        record = {"name": name, "version": version, "build": "0", "build_number": 0, "depends": [], "subdir": "noarch", "noarch": "generic"}
        records[f"{name}-{version}-0.tar.bz2"] = {**record, "timestamp": 1}
    bioconda = {file: record for file, record in records.items() if record["name"] == "snakemake-minimal"}
    for channel in CHANNELS:
        packages = bioconda if channel == "bioconda" else {file: record for file, record in records.items() if file not in bioconda}
        (folder / channel / "noarch").mkdir(parents=True)
        index = {"info": {"subdir": "noarch"}, "packages": packages, "packages.conda": {}, "repodata_version": 1}
        (folder / channel / "noarch" / "repodata.json").write_text(json.dumps(index))
