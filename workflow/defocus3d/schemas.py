"""The schemas of config and sheets: reading them, and saying in words what they expect."""

import difflib
import math
import re
from functools import cache
from pathlib import Path

import jsonschema
import yaml

FOLDER = Path(__file__).parents[1] / "schemas"
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"  # a name of files and folders on every system
SHOWABLE = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029{}]"  # neither a control character nor a line break, nor a brace, which Snakemake takes for a wildcard
FORMATS = {"path": f"{SHOWABLE}+", "folder": f"{SHOWABLE}*"}  # an empty folder is the one that things are relative to
UNITS = {"s": "seconds", "um": "µm"}  # in which columns and keys end
LONGEST_SHOWN = 80  # characters of a wrong value in a message
NAME_WORDS = "a name of letters, digits, '_', '-' and '.', that begins with a letter or digit (it becomes the name of a folder)"


@cache
def load(name: str) -> dict:
    """The schema `config`, `bead_stacks` or `acquisitions`."""
    return yaml.safe_load((FOLDER / f"{name}.schema.yaml").read_text(encoding="utf-8"))


def errors(instance, schema: dict) -> list:
    """All that is wrong with `instance`, as jsonschema's errors; a number that is infinite or NaN is none."""
    return list(_validator()(schema, format_checker=_formats()).iter_errors(instance))


@cache
def _formats():
    checker = jsonschema.FormatChecker(formats=())  # `name` is for cells, whose reader has it
    for name, pattern in FORMATS.items():
        checker.checks(name)(lambda value, pattern=pattern: not isinstance(value, str) or bool(re.fullmatch(pattern, value)))
    return checker


@cache
def _validator():
    base = jsonschema.Draft202012Validator

    def finite(kind):
        # a whole number is finite, but may be too large for isfinite
        return lambda _checker, value: base.TYPE_CHECKER.is_type(value, kind) and (isinstance(value, int) or math.isfinite(value))

    numbers = {kind: finite(kind) for kind in ("number", "integer")}
    return jsonschema.validators.extend(base, type_checker=base.TYPE_CHECKER.redefine_many(numbers))


def required(schema: dict, given) -> list[str]:
    """The columns of a sheet that have to be there, or cells of a row that have to be filled, beside the `given` ones."""
    spared = {column for key, columns in schema.get("instead", {}).items() if key in given for column in columns}
    return [column for column in schema["required"] if column not in spared]


def expected(schema: dict) -> str:
    """What a value has to be, in words."""
    if "anyOf" in schema:
        return ", or ".join(expected(part) for part in schema["anyOf"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "array" and "enum" in schema["items"]:
        return f"a list of any of {', '.join(f'`{value}`' for value in schema['items']['enum'])}, each once"
    if schema["type"] == "array" and "minItems" not in schema:
        return f"a list of at most {schema['maxItems']} numbers, each {_limits(schema['items'])}"
    if schema["type"] == "array":
        return f"two numbers [low, high], low below high, each {_limits(schema['items'])}"
    if schema["type"] in ("number", "integer"):
        return f"a {'whole ' if schema['type'] == 'integer' else ''}number {_limits(schema)}"
    if schema.get("format") == "name":
        return NAME_WORDS
    if schema.get("format") in FORMATS:
        return "a text without braces and control characters"
    return "a mapping of keys, indented below it" if schema["type"] == "object" else "a text"


def _limits(schema: dict) -> str:
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
        "multipleOf": "a multiple of",
    }
    return ", ".join(f"{word} {schema[key]}" for key, word in words.items() if key in schema)


def shown(value) -> str:
    """The value as a message shows it, on one line: what is very long, cut."""
    text = str(value)
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def nearest(name: str, known) -> str | None:
    """The one of the `known` names that `name` most likely means, or None where none is near."""
    plain, name = {key.lower(): key for key in known}, name.lower().replace("-", "_").replace(" ", "_")
    longer = [key for key in plain if key.startswith(f"{name}_")]  # its unit was left out
    found = longer or difflib.get_close_matches(name, plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def suggestion(name: str, known) -> str:
    """A question for the nearest known name, or, where none is near, all of them."""
    near = nearest(name, known)
    if near is None:
        return f"known are {', '.join(f'`{key}`' for key in known)}"
    unit = near.rpartition("_")[2]
    named = unit not in UNITS or name.lower().endswith(f"_{unit}")
    return f"did you mean `{near}`{'' if named else f', in {UNITS[unit]}'}?"
