"""The analysis that config and sheets describe, checked, with every default filled in."""

import copy
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

import pandas as pd

from defocus3d import checks, metadata, schemas
from defocus3d.camera import Camera
from defocus3d.frames import InputError, files_of
from defocus3d.metadata import Headers
from defocus3d.sheets import Sheet, read_sheet

# what `training.preset` stands for; a key of `training` that the config gives goes before it. Other defaults are in schemas/
PRESETS = {
    "quick": {"scenes": 6000, "held_out_scenes": 640, "fcn_steps": 4000, "cnn_steps": 15000},
    "full": {"scenes": 30000, "held_out_scenes": 1000, "fcn_steps": 30000, "cnn_steps": 30000},
}
NO_RANGES = ("export",), ("brownian", "wall_z_um")  # lists in any order; all others are [low, high]
CAMERA = [column.name for column in fields(Camera)]

__all__ = ["Analysis", "InputError", "InputErrors", "check", "check_files", "load_analysis"]


class InputErrors(ValueError):
    """Everything that the user has to mend; `messages` has one text for each problem, str() all of them, one a line."""

    def __init__(self, messages: list[str]):
        self.messages = list(dict.fromkeys(messages))
        count = "1 problem" if len(self.messages) == 1 else f"{len(self.messages)} problems"
        super().__init__("\n".join([f"The input has {count}:", *(f"- {message}" for message in self.messages)]))


@dataclass(frozen=True)
class Analysis:
    """Config and sheets.

    Attributes
    ----------
    config : dict
        Every key of the config's schema; `training` with the preset's numbers.
    stacks : DataFrame
        One row a bead stack: optics, path, pixel_size_um, z_step_um, z_direction, bead_diameter_um (NaN: not known), camera columns.
    trained : DataFrame
        One row an optics whose networks are trained already, with its name as index: trained (their folder), pixel_size_um, camera columns.
    acquisitions : DataFrame
        One row a movie, with its name as index: optics, path, frame_interval_s, exposure_s, bead_diameter_um, temperature_c,
        pixel_size_um, viscosity_pa_s (NaN: water), axial_scale, temperature_sd_c, bead_diameter_cv, camera columns.
    base : Path
        The folder that paths are relative to.
    from_files : dict
        What the sheets leave open and files filled, by path and column.
    """

    config: dict
    stacks: pd.DataFrame
    trained: pd.DataFrame
    acquisitions: pd.DataFrame
    base: Path
    from_files: dict[str, dict[str, float]]
    _sheets: tuple[Sheet, Sheet] = field(repr=False, compare=False)

    @property
    def optics(self) -> list[str]:
        """Names of all optics, sorted."""
        return sorted({*self.stacks["optics"], *self.trained.index, *self.acquisitions["optics"]})

    def pixel_size_um(self, optics: str) -> float:
        """Pixel size in µm of an optics. Raises KeyError for one that has no stack."""
        return checks.of_stacks(self._sheets[0], "pixel_size_um")[optics]

    def files_of(self, path: str) -> list[str]:
        """The files that a sheet's path stands for, relative as it is: itself, or a glob's matches, 2 before 10."""
        return files_of(path, self.base)


def load_analysis(config: dict, base: Path, from_files: dict[str, dict[str, float]] | None = None) -> Analysis:
    """The analysis that `config` and the sheets under `base` describe.

    Looks at no image but those whose row leaves open what the file may say, and that `from_files`, of the same analysis read before,
    does not have. Raises InputErrors with all that is wrong in the config and the sheets.
    """
    analysis, problems = _read(config, Headers(Path(base), from_files))
    if problems:
        raise InputErrors(problems)
    return analysis


def check_files(analysis: Analysis, made_by_rules: Callable[[str], bool]) -> None:
    """Check that the files of the sheets are there, have sound headers, and do not contradict the sheets.

    Raises InputErrors with all that is wrong. A path for which `made_by_rules(path)` is true may be absent.
    """
    problems = _in_files(analysis, Headers(analysis.base), made_by_rules)
    if problems:
        raise InputErrors(problems)


def check(config: dict, base: Path, made_by_rules: Callable[[str], bool]) -> Analysis:
    """The analysis, its files checked too. Raises InputErrors with all that is wrong in the config, the sheets and the files."""
    headers = Headers(Path(base))
    analysis, problems = _read(config, headers)
    problems += _in_files(analysis, headers, made_by_rules)
    if problems:
        raise InputErrors(problems)
    return analysis


def _in_files(analysis: Analysis, headers: Headers, made_by_rules: Callable[[str], bool]) -> list[str]:
    sheets, config = analysis._sheets, analysis.config
    cameras = {row["acquisition"]: Camera.of(row) for row in analysis.acquisitions.reset_index().to_dict("records")}
    return [*checks.in_files(*sheets, config, headers, made_by_rules), *checks.in_trained(*sheets, cameras, config, headers.base)]


def _read(config: dict, headers: Headers) -> tuple[Analysis, list[str]]:
    """The analysis, defaults standing in for what is wrong, and what is wrong."""
    config, problems = complete(config)
    sheets = [read_sheet(config[name], schemas.load(name), headers.base) for name in ("bead_stacks", "acquisitions")]
    stacks, acquisitions = sheets
    from_files: dict[str, dict[str, float]] = {}
    for sheet, name in zip(sheets, ("bead_stacks", "acquisitions"), strict=True):
        for row in sheet.rows:
            for column in ("path", "trained"):
                if row.get(column) is not None:  # an absolute path stays what it is
                    row[column] = os.path.join(config["data_folder"], row[column])
            if row.get("trained") is not None:  # files in it are named with a slash of their own
                row["trained"] = os.path.normpath(row["trained"])
        filled = metadata.fill(sheet, schemas.load(name), headers if config["file_metadata"] == "check" else None)
        for path, said in filled.items():
            from_files[path] = from_files.get(path, {}) | said
    problems += [*stacks.problems, *acquisitions.problems, *checks.between_rows(stacks, acquisitions)]
    rows, movies = _table(stacks, "bead_stacks", config), _table(acquisitions, "acquisitions", config).set_index("acquisition")
    sizes = movies["optics"].map(checks.of_stacks(stacks, "pixel_size_um"))
    movies["pixel_size_um"] = movies["pixel_size_um"].fillna(sizes.astype(float))
    measured = rows["trained"].isna()
    trained = rows.loc[~measured, ["optics", "trained", "pixel_size_um", *CAMERA]].set_index("optics")
    rows = rows[measured].drop(columns="trained")
    return Analysis(config, rows, trained, movies, headers.base, from_files, (stacks, acquisitions)), problems


def _table(sheet: Sheet, schema: str, config: dict) -> pd.DataFrame:
    rules = schemas.load(schema)["properties"]
    table = pd.DataFrame(sheet.rows, columns=list(rules))
    for column, rule in rules.items():
        default = config["camera"][column] if column in CAMERA else rule.get("default")
        if default is not None:
            table[column] = [default if value is None else value for value in (row[column] for row in sheet.rows)]
        if rule["type"] != "string":
            table[column] = table[column].astype(float if rule["type"] == "number" else int)
    return table


def complete(config: dict | None) -> tuple[dict, list[str]]:
    """The config with every default filled in, and what is wrong with it; what is wrong is replaced by its default."""
    schema = schemas.load("config")
    if not isinstance(config or {}, dict):
        return complete({})[0], ["config: is no mapping of keys; write it as `key: value`, one a line"]
    given = _sections_not_none(copy.deepcopy(dict(config or {})), schema)
    problems = {}
    for error in schemas.errors(given, schema):
        path = [part for part in error.absolute_path if isinstance(part, str)]
        if error.validator == "additionalProperties":
            for key in [key for key in error.instance if key not in error.schema["properties"]]:
                problems[(*path, str(key))] = _unknown(path, str(key), schema)
                error.instance.pop(key)
        else:  # a mapping whose keys are free, such as `failed`, is right or wrong as a whole
            problems[tuple(path if "properties" in schema["properties"][path[0]] else path[:1])] = None
    for path in [path for path, message in problems.items() if message is None]:
        section = given if len(path) == 1 else given[path[0]]
        problems[path] = _wrong(path, section.pop(path[-1]), schema)
    for path in _descending(given):
        section = given if len(path) == 1 else given[path[0]]
        problems[path] = _wrong(path, section.pop(path[-1]), schema)
    return _filled(given, schema), [*problems.values(), *_too_few_steps(given)]


def _too_few_steps(config: dict) -> list[str]:
    """Problems of a config that asks for results to keep, and gives fewer steps than there are in a first look: left from a demo, or a trial."""
    training = config.get("training", {})
    if training.get("preset") != "full":
        return []
    return [
        f"training.{key}: {training[key]} steps are fewer than even the preset `quick` has ({PRESETS['quick'][key]}), and the preset is `full`: "
        "take the line out, or ask for `quick`"
        for key in ("fcn_steps", "cnn_steps")
        if training.get(key) is not None and training[key] < PRESETS["quick"][key]
    ]


def _sections_not_none(config: dict, schema: dict) -> dict:
    """A section whose keys are all commented out is None to YAML: the same as no key given."""
    rules = schema["properties"]
    return {key: {} if value is None and rules.get(key, {}).get("type") == "object" else value for key, value in config.items()}


def _descending(config: dict) -> list[tuple[str, ...]]:
    """Keys of [low, high] whose low is not below its high."""
    values = {(key,): value for key, value in config.items()}
    for key, section in config.items():
        if isinstance(section, dict):
            values |= {(key, inner): value for inner, value in section.items()}
    ranges = {path: value for path, value in values.items() if isinstance(value, list) and path not in NO_RANGES}
    return [path for path, (low, high) in ranges.items() if low >= high]


def _unknown(path: list[str], key: str, schema: dict) -> str:
    rules = schema["properties"]
    known = rules[path[0]]["properties"] if path else rules
    inside = {inner: f"{name}.{inner}" for name, rule in rules.items() if "properties" in rule for inner in rule["properties"]}
    hint = schemas.suggestion(key, known)
    if key in inside or (path and key in rules):
        hint = f"did you mean `{inside.get(key, key)}`? Mind the indentation"
    return f"config, key {schemas.shown('.'.join([*path, key]))}: unknown; correct or remove it: {hint}"


def _wrong(path: tuple[str, ...], value, schema: dict) -> str:
    rule = schema["properties"][path[0]]
    for key in path[1:]:
        rule = rule["properties"][key]
    wanted = f"give {schemas.expected(rule)} ({rule['description']})"
    if value is None:
        return f"config, key {'.'.join(path)}: is empty; {wanted}, or leave the key out"
    parts = value if isinstance(value, list) else [value]
    for part in parts:
        number = _number_in_text(part)
        if number is not None and rule.get("type") != "string" and "enum" not in rule:
            return (
                f"config, key {'.'.join(path)}: `{schemas.shown(part)}` is text to YAML, whose numbers have no quotes "
                "and, before an exponent, a decimal point; "
                ""
                f"write {number!r} ({schemas.expected(rule)})"
            )
    kind = " (text)" if isinstance(value, str) and rule.get("type") in ("number", "integer") else ""
    return f"config, key {'.'.join(path)}: `{schemas.shown(value)}`{kind} is not allowed; {wanted}"


def _number_in_text(value) -> float | int | None:
    """The number that a text such as '1e-3' or '0,5' means, or None."""
    try:
        number = float(value.replace(",", ".")) if isinstance(value, str) else math.nan
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def _filled(given: dict, schema: dict) -> dict:
    """The config with defaults, in the schema's order, numbers of the schema's types."""
    filled = {}
    for key, rule in schema["properties"].items():
        if "properties" in rule:
            filled[key] = _filled(given.get(key, {}), rule)
        elif key in given:
            filled[key] = int(given[key]) if rule.get("type") == "integer" else given[key]
        else:
            filled[key] = copy.deepcopy(rule.get("default"))
    if "preset" in filled:
        filled |= {key: value for key, value in PRESETS[filled["preset"]].items() if filled[key] is None}
    return filled
