"""Where results come from: the code, the versions, the input files."""

import ast
import hashlib
import json
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

WORKFLOW = Path(__file__).parent.parent
PACKAGE = Path(__file__).parent.name
DISTRIBUTIONS = (
    "snakemake",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "onnx",
    "openvino",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "numba",
    "scikit-image",
    "tifffile",
    "nd2",
    "zarr",
    "trackpy",
    "matplotlib",
    "psfmodels",
)


def code_of(script: str, workflow: Path = WORKFLOW) -> str:
    """Hash of a script and of every module of this package that it imports, directly or not; 16 hexadecimal digits.

    Snakemake reruns a rule whose script changed, but not one whose script's imports changed. With this hash among the rule's
    parameters it does, whatever the files' times say.

    Parameters
    ----------
    script : str
        Path below `workflow`, such as "scripts/link.py".
    workflow : Path
        Folder that holds the scripts and the package.

    Raises FileNotFoundError where there is no such script.
    """
    content = hashlib.sha256()
    for path in closure_of(script, workflow):
        content.update(path.relative_to(workflow).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return content.hexdigest()[:16]


def closure_of(script: str, workflow: Path = WORKFLOW) -> list[Path]:
    """The script and the package's modules that it imports, directly or not, sorted; found by reading, not by importing."""
    found, waiting = set(), [workflow / script]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [module for name in imports_of(path, workflow) for module in _files_of(name, workflow)]
    return sorted(found)


def imports_of(path: Path, workflow: Path = WORKFLOW) -> tuple[str, ...]:
    """Dotted names that a Python file imports anywhere in it, relative ones made absolute, sorted.

    `from a import b` gives both `a` and `a.b`, since b may be a module or a name inside a.
    """
    return _imports_in(path.read_text(encoding="utf-8"), path.relative_to(workflow).parent.parts)


@cache  # every job of a run asks for every script
def _imports_in(source: str, package: tuple[str, ...]) -> tuple[str, ...]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) + 1 - node.level] if node.level else ()
            base = ".".join([*parents, *filter(None, [node.module])])
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return tuple(sorted(names))


def _files_of(name: str, workflow: Path) -> list[Path]:
    """Files that importing the dotted name runs, as far as they belong to this package: its parents' __init__.py and itself."""
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return []
    files = [workflow.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    return [path for path in (*files, workflow.joinpath(*parts).with_suffix(".py")) if path.is_file()]


def code_of_all(workflow: Path = WORKFLOW) -> dict[str, str]:
    """The code's hash of each script, by the script's name."""
    return {path.name: code_of(f"scripts/{path.name}", workflow) for path in sorted((workflow / "scripts").glob("*.py"))}


def manifest(config: dict, code: dict, inputs: list[str], environments: list[str], from_files: dict | None = None) -> dict:
    """What a run depends on, ready for JSON: versions, config with every default, seeds, code, input checksums.

    Parameters
    ----------
    config : dict
        The config with its defaults filled in.
    code : dict
        Hashes by script, as `code_of_all` gives them.
    inputs : list of str
        Bead stacks, movies and sheets.
    environments : list of str
        Conda environment files.
    from_files : dict
        What the sheets leave open and files say, by file and column.
    """
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "platform": platform.platform(),
        "config": config,
        "seeds": {"training": config["training"]["seed"]},
        "code": code,
        "environments": {Path(path).name: checksum(path) for path in sorted(environments)},
        "inputs": {str(path): checksum(path) for path in sorted(inputs)},
        "from_files": from_files or {},
    }


def key_of(parameters: dict, inputs) -> str:
    """A checksum of parameters, which are plain values, and of the content of the input files."""
    told = json.dumps([parameters, [checksum(path) for path in inputs]], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def listing(folder) -> str:
    """A checksum of the names, sizes and times of a folder's files, which a change inside of it alters; reads none of them."""
    return _of_folder(folder, lambda file: f"{file.stat().st_size} {file.stat().st_mtime_ns}")[:16]


def checksum(path) -> str:
    """SHA-256 of a file's content, with "sha256:" before it; of a folder, that of its files' names and checksums.

    Reads in pieces, so a file of any size takes no memory.
    """
    if Path(path).is_dir():
        return "sha256:" + _of_folder(path, checksum)
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _of_folder(folder, tell) -> str:
    """SHA-256 of the names of all files in a folder, each with what `tell(file)` says of it."""
    files = sorted(file for file in Path(folder).rglob("*") if file.is_file())
    told = "".join(f"{file.relative_to(folder).as_posix()}\0{tell(file)}\n" for file in files)
    return hashlib.sha256(told.encode()).hexdigest()


def _versions() -> dict[str, str]:
    """Versions of the installed packages among those that the workflow builds on."""
    versions = {}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # another rule's environment has it
            continue
    return versions
