"""A new project is sound but for the files that only its user has, says the defaults, and takes nothing from anyone."""

import numpy as np
import pytest
import tifffile
import yaml

from defocus3d import new_project, settings
from defocus3d.frames import InputError


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "my beads"
    new_project.write(folder)
    return folder


def check(folder):
    return settings.check(yaml.safe_load((folder / "config" / "config.yaml").read_text()), folder, lambda path: False)


def test_only_stack_and_movie_are_missing(project):
    with pytest.raises(settings.InputErrors) as error:
        check(project)
    places = [message.partition(" (")[0] for message in error.value.messages]
    assert places == ["config/bead_stacks.tsv, line 2", "config/acquisitions.tsv, line 2"]
    assert all("no such file" in message for message in error.value.messages)


def test_with_them_it_is_ready_and_has_the_defaults(project):
    for name in ("beads", "movie"):
        tifffile.imwrite(project / "data" / f"{name}.tif", np.zeros((31, 16, 16), np.uint16), photometric="minisblack")
    analysis = check(project)
    assert analysis.config == settings.complete({})[0]
    assert list(analysis.acquisitions.index) == ["my_movie"] and analysis.optics == ["my_optics"]


def test_its_readme_names_the_folders(project):
    text = (project / "README.md").read_text()
    assert f"--directory '{project}'" in text and f"cd {new_project.CHECKOUT}" in text and "@" not in text


def test_nothing_is_overwritten(project):
    sheet, config = project / "config" / "acquisitions.tsv", project / "config" / "config.yaml"
    sheet.write_text("mine")
    config.unlink()
    with pytest.raises(InputError, match="is there already"):
        new_project.write(project)
    assert sheet.read_text() == "mine" and not config.exists()
