"""The page docs/configuration.md, made from the schemas: `make docs` writes it."""

import sys
from pathlib import Path

from defocus3d import files, schemas
from defocus3d.settings import CAMERA, PRESETS

START = """# Configuration: every key and column

Made by `make docs` from the schemas in `workflow/schemas/`, by which the input is checked: what is here is what is accepted.
[config/README.md](../config/README.md) says how the three files are used, [your_data.md](your_data.md) how to come to the numbers.

## config.yaml

Every key may be left out, and then has its default; an unknown key is an error. `camera.offset_adu` means the key `offset_adu`,
indented below `camera`.
"""
SHEETS = {
    "bead_stacks": "One row a stack. Rows of one `optics` are pooled.",
    "acquisitions": "One row a movie.",
}
NOTE = "A column `note` is for your own remarks. Other columns than these are errors."


def page() -> str:
    """The text of the page, Markdown."""
    config = schemas.load("config")["properties"]
    alone = {key: rule for key, rule in config.items() if "properties" not in rule}
    parts = [START, _table("key", [_row(key, rule, _default(key, rule)) for key, rule in alone.items()])]
    for section in [key for key in config if key not in alone]:
        rows = [_row(f"{section}.{key}", rule, _default(key, rule)) for key, rule in config[section]["properties"].items()]
        parts += [f"### {section}: {config[section]['description']}\n", _table("key", rows)]
    for sheet, text in SHEETS.items():
        schema = schemas.load(sheet)
        rows = [_row(column, rule, _default_of_column(column, schema)) for column, rule in schema["properties"].items()]
        parts += [f"## {sheet}.tsv\n", f"{text} {NOTE}\n", _table("column", rows)]
    return "\n".join(parts)


def _table(name: str, rows: list[str]) -> str:
    return "\n".join([f"| {name} | value | default | meaning |", "| --- | --- | --- | --- |", *rows, ""])


def _row(name: str, rule: dict, default: str) -> str:
    return f"| `{name}` | {schemas.expected(rule)} | {default} | {rule['description']} |"


def _default(key: str, rule: dict) -> str:
    if "default" not in rule:  # the presets have it
        return ", ".join(f"{preset} `{values[key]}`" for preset, values in PRESETS.items())
    return f"`{rule['default']}`" if rule["default"] != "" else "empty"


def _default_of_column(column: str, schema: dict) -> str:
    rule = schema["properties"][column]
    if column in schema["required"]:
        others = [f"`{key}`" for key, columns in schema.get("instead", {}).items() if column in columns]
        empty = ", or empty where the file says it" if rule.get("from_file") else ""
        return "required" + empty + "".join(f", unless {key} is given" for key in others)
    if column in CAMERA:
        return f"the config's `camera.{column}`"
    return f"`{rule['default']}`" if "default" in rule else "empty"


if __name__ == "__main__":
    files.write(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "docs" / "configuration.md", page())
