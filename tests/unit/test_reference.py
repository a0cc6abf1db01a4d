"""docs/configuration.md says what the check of the input does."""

import re
from pathlib import Path

import pytest

from defocus3d import reference, schemas, settings

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
BEYOND = {"at least": -1, "above": 0, "at most": 1, "below": 0}  # from a limit, to what is not allowed
KEYWORDS = {"type", "format", "description", "default", "enum", "const", "anyOf", "items", "minItems", "maxItems", "uniqueItems", "pattern",
            "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "properties", "additionalProperties", "from_file"}  # fmt: skip


def test_the_page_agrees_with_the_schemas():
    assert PAGE.read_text(encoding="utf-8") == reference.page(), "write it anew: make docs"


def limits():
    """Keys of the config's sections and values next to a limit that the page tells."""
    for section, key, value in re.findall(r"^\| `(\w+)\.(\w+)` \| ([^|]*) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE):
        for word, limit in re.findall(r"(at least|above|at most|below) (-?[0-9.]+)", value):
            number = float(limit) + BEYOND[word]
            if "two numbers" not in value and "a list" not in value:
                yield section, key, int(number) if "whole" in value else number


@pytest.mark.parametrize(("section", "key", "value"), list(limits()))
def test_values_beyond_the_pages_limits_are_refused(section, key, value):
    (problem,) = settings.complete({section: {key: value}})[1]
    assert f"config, key {section}.{key}: `{value}` is not allowed" in problem


@pytest.mark.parametrize("name", ["config", "bead_stacks", "acquisitions"])
def test_descriptions_are_whole(name):
    """A comma in a text without quotes would begin a keyword of its own in YAML."""
    for key, rule in schemas.load(name)["properties"].items():
        for inner in [rule, *rule.get("properties", {}).values()]:
            assert set(inner) <= KEYWORDS, key


def test_links_of_the_pages_lead_somewhere():
    root = PAGE.parents[1]
    for page in [*root.glob("*.md"), *root.glob("docs/*.md"), root / "config" / "README.md"]:
        for link in re.findall(r"\]\(([\w./-]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
    assert (root / "docs" / "overview.png").stat().st_size < 300_000
