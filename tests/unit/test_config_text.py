"""What is wrong with the text of a config file is said with its line, in one message, and what to do."""

import pytest

from defocus3d import config_text

BAD = {
    "nothing": (b"# all keys are comments\n", "config.yaml: is empty; write at least one key"),
    "no keys": (b"- a\n- b\n", "config.yaml, line 1: has no keys; write `key: value`"),
    "text alone": (b"seed 1\n", "config.yaml, line 1: has no keys"),
    "bracket left open": (b"camera: {offset_adu: 3\nlinking: {}\n", "config.yaml, line 2: is no YAML", "write `key: value`"),
    "tab": (b"camera:\n\toffset_adu: 3\n", "config.yaml, line 2: is no YAML", "indented by spaces"),
    "indentation": (b"camera:\n  offset_adu: 3\n em_gain: 1\n", "config.yaml, line 3: is no YAML", "indented by spaces"),
    "not UTF-8": ("# µm\ncamera: {}\n".encode("latin-1"), "config.yaml: is no text in UTF-8; save it as UTF-8"),
    "control character": (b"camera: \x00\n", "config.yaml: is no YAML", "write `key: value`"),
    "Python in it": (b"camera: !!python/object:os.system {}\n", "config.yaml, line 1: is no YAML"),
    "day that does not exist": (b"failed: {all: 2026-02-31}\n", "config.yaml: has a value that YAML takes for a date", "put it in quotes"),
    "key twice": (b"linking: {}\ncamera: {}\nlinking: {}\n", "config.yaml, line 3: key `linking` is there already, in line 1; remove one"),
    "inner key twice": (b"camera:\n  em_gain: 1\n  em_gain: 2\n", "config.yaml, line 3: key `camera.em_gain` is there already, in line 2"),
    "not there": (None, "config.yaml: no such file", "--directory or --configfile"),
}


@pytest.mark.parametrize(("content", "words"), [(content, words) for content, *words in BAD.values()], ids=BAD)
def test_bad_text_is_told_with_advice(tmp_path, content, words):
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_bytes(content)
    (problem,) = config_text.problems(path)
    assert all(word in problem for word in words) and "\n" not in problem, problem


@pytest.mark.parametrize("text", ["axial_range_um: auto\n", "brownian:\n", "\ufeffcamera: {em_gain: 1}\n", "camera: &a {self: *a}\n"])
def test_what_yaml_allows_is_left_to_the_schema(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    assert config_text.problems(tmp_path / "config.yaml") == []
