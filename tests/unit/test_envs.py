"""The conda environments: each rule's holds what its script imports, and nothing else, at versions that contain the locked ones."""

import re
import sys
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from defocus3d import provenance

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))

# names on conda-forge, where they differ: of modules, and of packages on PyPI
OF_MODULE = {
    "matplotlib": "matplotlib-base",
    "mpl_toolkits": "matplotlib-base",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
}
ON_PYPI = {"matplotlib-base": "matplotlib", "snakemake-minimal": "snakemake"}


def dependencies(environment):
    """Version ranges by package."""
    lines = (line.split(maxsplit=1) for line in yaml.safe_load(environment.read_text())["dependencies"])
    return {name: SpecifierSet(versions[0] if versions else "") for name, *versions in lines}


def locked():
    """Locked versions by package; several where they depend on Python's version."""
    versions = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE):
        versions.setdefault(name, []).append(version)
    return versions


def rules():
    """(rule, environment, script) of every rule that runs a script."""
    found = []
    for file in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        for name, body in re.findall(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", file.read_text(), re.MULTILINE | re.DOTALL):
            script = re.search(r'"\.\./(scripts/\w+\.py)"', body)
            if script:
                found.append((name, re.search(r"envs/(\w+)\.yaml", body)[1], script[1]))
    return found


def packages_of(files):
    """Packages that the files import, or need without importing them."""
    needed = set()
    for file in files:
        modules = {name.split(".")[0] for name in provenance.imports_of(file)}
        needed |= {OF_MODULE.get(name, name) for name in modules - sys.stdlib_module_names - {"defocus3d"}}
        if "parquet" in file.read_text():
            needed |= {"pandas", "pyarrow"}
    if "keras" in needed:
        needed.add("tensorflow")  # its backend
    return needed


def needs(rule, script):
    files = provenance.closure_of(script)
    needed = packages_of(files)
    if rule in ("report", "benchmark_train"):  # run Snakemake, which reads the Snakefile and all that it includes again
        included = "".join(file.read_text() for file in (ROOT / "workflow").rglob("*.smk"))
        imports = re.findall(r"^from defocus3d(\.\w+)? import (.+)$", included, re.MULTILINE)
        names = {(package, name.split(" as ")[0].strip()) for package, names in imports for name in names.split(",")}
        modules = {f"defocus3d{package}" for package, _ in names} | {f"defocus3d{package}.{name}" for package, name in names}
        for path in [ROOT / "workflow" / f"{module.replace('.', '/')}.py" for module in modules]:
            if path.exists():
                needed |= packages_of(provenance.closure_of(path.relative_to(ROOT / "workflow").as_posix()))
        needed |= {"snakemake-minimal", "pygments"}  # the latter for the report
    return needed


def test_there_are_rules_with_environments():
    assert len(rules()) >= 16


@pytest.mark.parametrize(("rule", "environment", "script"), rules(), ids=[rule for rule, *_ in rules()])
def test_an_environment_holds_what_its_rule_imports(rule, environment, script):
    missing = needs(rule, script) - set(dependencies(ROOT / "envs" / f"{environment}.yaml"))
    assert not missing, f"{script} imports {sorted(missing)}, which envs/{environment}.yaml lacks"


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_holds_nothing_else(environment):
    needed = {"python"}.union(*(needs(rule, script) for rule, name, script in rules() if name == environment.stem))
    surplus = set(dependencies(environment)) - needed
    assert not surplus, f"no rule with {environment.name} imports {sorted(surplus)}"


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_ranges_contain_the_locked_versions(environment):
    versions = {**locked(), "python": ["3.11.0", "3.12.0", "3.13.0"]}
    for name, allowed in dependencies(environment).items():
        for version in versions[ON_PYPI.get(name, name)]:
            assert version in allowed, f"{environment.name}: {name} {allowed} excludes the locked {version}"


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_channels_are_free_ones(environment):
    channels = yaml.safe_load(environment.read_text())["channels"]
    assert channels[0] == "conda-forge"
    assert "nodefaults" in channels


def test_the_lock_has_hashes_and_names_no_address():
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?:|file:|--(extra-)?index|--find-links| @ ", text)
    entries = re.split(r"\n(?=[a-z0-9])", text)
    assert all("--hash=sha256:" in entry for entry in entries)
