"""The hash of a script's code changes with every module that the script imports, and with no other."""

import hashlib
import json
import subprocess
import sys

import pytest

from defocus3d import provenance

SCRIPT = "scripts/fit.py"


@pytest.fixture
def project(tmp_path):
    """A small workflow: fit.py imports a, which imports b by `from . import`, which imports the package sub; c stands alone."""
    package = tmp_path / "defocus3d"
    files = {
        tmp_path / SCRIPT: "import numpy\n\nfrom defocus3d.a import name\n",
        package / "__init__.py": "",
        package / "a.py": "from . import b, name\n",
        package / "b.py": "def late():\n    import defocus3d.sub.deep\n",
        package / "c.py": "import defocus3d.a\n",
        package / "sub" / "__init__.py": "",
        package / "sub" / "deep.py": "from ..d import thing\nfrom .sibling import other\n",
        package / "sub" / "sibling.py": "",
        package / "d.py": "",
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def names_of(project):
    return {path.relative_to(project).as_posix() for path in provenance.closure_of(SCRIPT, project)}


def test_the_closure_follows_every_kind_of_import(project):
    assert names_of(project) == {
        SCRIPT,
        *(f"defocus3d/{name}.py" for name in ("__init__", "a", "b", "d", "sub/__init__", "sub/deep", "sub/sibling")),
    }


@pytest.mark.parametrize("changed", [SCRIPT, "defocus3d/__init__.py", "defocus3d/d.py", "defocus3d/sub/sibling.py"])
def test_the_hash_changes_with_what_is_imported(project, changed):
    before = provenance.code_of(SCRIPT, project)
    with open(project / changed, "a") as file:
        file.write("# changed\n")
    assert provenance.code_of(SCRIPT, project) != before


def test_the_hash_ignores_what_is_not_imported_and_when_files_were_written(project):
    before = provenance.code_of(SCRIPT, project)
    (project / "defocus3d" / "c.py").write_text("import defocus3d.d\n")
    module = project / "defocus3d" / "a.py"
    module.write_text(module.read_text())
    assert provenance.code_of(SCRIPT, project) == before


def test_a_module_moved_with_its_content_counts_as_changed(project):
    before = provenance.code_of(SCRIPT, project)
    (project / "defocus3d" / "d.py").rename(project / "defocus3d" / "e.py")
    (project / "defocus3d" / "sub" / "deep.py").write_text("from ..e import thing\nfrom .sibling import other\n")
    assert provenance.code_of(SCRIPT, project) != before


def test_modules_that_import_each_other_are_no_trouble(project):
    (project / "defocus3d" / "d.py").write_text("from defocus3d import a\n")
    assert "defocus3d/d.py" in names_of(project)


def test_a_missing_script_is_an_error(project):
    with pytest.raises(FileNotFoundError):
        provenance.code_of("scripts/absent.py", project)


def test_hashing_imports_nothing():
    """Snakemake hashes every script in every job: that must not cost the import of Keras each time."""
    code = (
        "import sys; from defocus3d.provenance import code_of\n"
        "print(code_of('scripts/draw_networks.py')); print('keras' in sys.modules or 'numpy' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=provenance.WORKFLOW, capture_output=True, text=True, check=True)
    digest, imported = run.stdout.split()
    assert imported == "False"
    assert digest == provenance.code_of("scripts/draw_networks.py")


def test_checksum_is_that_of_the_content(tmp_path):
    path = tmp_path / "movie.tif"
    path.write_bytes(b"abc" * 1_000_000)
    assert provenance.checksum(path) == "sha256:" + hashlib.sha256(b"abc" * 1_000_000).hexdigest()


@pytest.mark.parametrize("told", [provenance.checksum, provenance.listing])
def test_a_change_inside_of_a_folder_tells(tmp_path, told):
    chunk = tmp_path / "movie.zarr" / "c" / "0"
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(b"abc")
    before = told(tmp_path / "movie.zarr")
    assert told(tmp_path / "movie.zarr") == before
    chunk.write_bytes(b"abcd")
    changed = told(tmp_path / "movie.zarr")
    chunk.rename(chunk.with_name("1"))
    assert len({before, changed, told(tmp_path / "movie.zarr")}) == 3


def test_the_manifest_names_versions_seeds_code_and_inputs(project, tmp_path):
    movie, environment = tmp_path / "movie.tif", tmp_path / "imaging.yaml"
    movie.write_bytes(b"movie")
    environment.write_text("dependencies: []")
    config = {"training": {"seed": 7}}
    given = {"movie.tif": {"frame_interval_s": 0.02}}
    record = provenance.manifest(config, provenance.code_of_all(project), [str(movie)], [str(environment)], given)
    assert record["config"] == config
    assert record["seeds"] == {"training": 7}
    assert record["versions"]["python"].startswith("3.")
    assert record["versions"]["numpy"]
    assert record["code"] == {"fit.py": provenance.code_of(SCRIPT, project)}
    assert record["inputs"] == {str(movie): provenance.checksum(movie)}
    assert set(record["environments"]) == {"imaging.yaml"} and record["from_files"] == given
    json.dumps(record)
