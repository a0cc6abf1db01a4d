"""Tab-separated sheets: read as text, then turned into numbers, with everything that is wrong collected on the way."""

import csv
import io
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from defocus3d import schemas

NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
NOTE = "note"  # a column for the user's own remarks


@dataclass
class Sheet:
    """A sheet's rows and its problems.

    Attributes
    ----------
    name : str
        The file, as the config names it.
    rows : list of dict
        One a row, with a value for each column of the schema: None where the cell is empty or wrong.
    lines : list of int
        Line of each row in the file, from 1.
    problems : list of str
        What the user has to mend.
    open : list of (int, str)
        Row and column of each empty cell of a column that the file may fill (`from_file` in the schema).
    """

    name: str
    rows: list[dict] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    open: list[tuple[int, str]] = field(default_factory=list)

    def place(self, index: int) -> str:
        """Where the row is, for a message."""
        row = self.rows[index]
        name = row.get("acquisition" if "acquisition" in row else "optics")
        return f"{self.name}, line {self.lines[index]}" + (f" ({name})" if name else "")


def read_sheet(name: str, schema: dict, base: Path) -> Sheet:
    """The rows of a sheet, checked cell by cell against its schema; problems are in the result, nothing is raised.

    Cells are separated by tabs, or by commas in a file that ends in .csv. Empty lines, and lines that begin with #, are left out.
    """
    sheet = Sheet(name)
    try:
        table = _text(name, base)
    except ValueError as error:
        sheet.problems.append(str(error))
        return sheet
    _, header = table[0]
    if not _check_header(header, schema, sheet):
        return sheet
    if len(table) == 1:
        sheet.problems.append(f"{name}: has no row below its header; add a row for each {schema['title']}")
    for line, cells in table[1:]:
        sheet.lines.append(line)
        sheet.rows.append({})
        _read_row(dict.fromkeys(header, "") | dict(zip(header, cells, strict=False)), schema, sheet)
        if len(cells) > len(header):
            sheet.problems.append(
                f"{sheet.place(-1)}: has {len(cells)} cells, but the header has {len(header)}; "
                "remove the extra tabs or add the column's name"
            )
    return sheet


def _text(name: str, base: Path) -> list[tuple[int, list[str]]]:
    """Line numbers and stripped cells, the header first. Raises ValueError with a message for the user."""
    path = base / name
    try:
        text = path.read_text(encoding="utf-8-sig")  # Excel begins UTF-8 files with a byte order mark
    except FileNotFoundError:
        raise ValueError(
            f"{name}: no such sheet; "
            f"correct the path in the config, relative to the working directory ({base.resolve()})"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"{name}: is no text in UTF-8; save it from the spreadsheet as tab-separated text in UTF-8") from None
    except OSError as error:
        raise ValueError(f"{name}: cannot be read ({error.strerror}); name a tab-separated text file") from None
    reader = csv.reader(io.StringIO(text), delimiter="," if path.suffix.lower() == ".csv" else "\t", strict=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise ValueError(
            f"{name}, line {reader.line_num}: cannot be read as a sheet ({error}); "
            "mind quotation marks without a partner, and save it again as tab-separated text"
        ) from None
    rows = [(line, _without_empty_end(cells)) for line, cells in rows if any(cells) and not cells[0].startswith("#")]
    if not rows:
        raise ValueError(f"{name}: is empty; write a header with the names of the columns, and a row for each entry")
    return rows


def _without_empty_end(cells: list[str]) -> list[str]:
    while cells and not cells[-1]:
        cells = cells[:-1]
    return cells


def _check_header(header: list[str], schema: dict, sheet: Sheet) -> bool:
    """Whether the rows can be read; adds what is wrong with the header to the sheet's problems."""
    known, name = [*schema["properties"], NOTE], sheet.name
    separators = "commas" if name.lower().endswith(".csv") else "tabs"
    if len(header) == 1 and re.search("[,;\t]|  ", header[0]):
        sheet.problems.append(
            f"{name}: its columns are not separated by {separators}; "
            "save it as tab-separated text (or, with commas, as .csv)"
        )
        return False
    if not set(header) & set(known):
        columns = ", ".join(schema["required"])
        sheet.problems.append(f"{name}: its first line names no column; begin with a header, its names separated by {separators}: {columns}")
        return False
    readable, near = True, set()
    for column in sorted(set(header), key=header.index):
        if header.count(column) > 1:
            sheet.problems.append(f"{name}: column `{column}` is there {header.count(column)} times; remove all but one")
            readable = False
        if column not in known:
            near.add(schemas.nearest(column, known))
            hint = schemas.suggestion(column, known)
            sheet.problems.append(f"{name}: unknown column `{schemas.shown(column)}`; correct or remove it: {hint}")
    for column in schemas.required(schema, header):
        if column not in header:
            hint = " (see the unknown column above)" if column in near else ""
            description = schema["properties"][column]["description"]
            sheet.problems.append(f"{name}: column `{column}` is missing{hint}; add it: {description}")
    return readable


def _read_row(cells: dict[str, str], schema: dict, sheet: Sheet) -> None:
    """Fill the sheet's last row from its cells, and add what is wrong with them to the sheet's problems."""
    row, wrong = sheet.rows[-1], {}
    required = schemas.required(schema, [column for column, text in cells.items() if text])
    stands_in = any(cells.get(key) for key in schema.get("instead", {}))  # for the file that could say what is empty
    missing = set(schemas.required(schema, cells)) - set(cells)  # columns, which are said once and not for each row
    for column, rule in schema["properties"].items():
        row[column], text = None, cells.get(column, "")
        if text:
            row[column] = _value(text, rule)
        elif column in required and column in cells and rule.get("from_file") and not stands_in:
            sheet.open.append((len(sheet.rows) - 1, column))
        elif column in required and column not in missing:
            wrong[column] = f"is empty; give {schemas.expected(rule)} ({rule['description']})"
        if text and row[column] is None:
            wrong[column] = _what_is_wrong(text, rule)
    for error in schemas.errors({column: value for column, value in row.items() if value is not None}, schema):
        if error.path:  # the rest are missing columns, which are said once and not for each row
            column = error.path[0]
            row[column], wrong[column] = None, _what_is_wrong(cells[column], schema["properties"][column])
    place = sheet.place(-1)
    sheet.problems += [f"{place}, column {column}: {what}" for column, what in wrong.items()]


def _value(text: str, rule: dict):
    """The cell's value, or None where it is not of the type that the column has."""
    if rule["type"] == "string":
        return text if rule.get("format") != "name" or re.fullmatch(schemas.NAME, text) else None
    if not NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        return None
    return int(float(text)) if rule["type"] == "integer" and float(text).is_integer() else float(text)


def _what_is_wrong(text: str, rule: dict) -> str:
    wanted = schemas.expected(rule) + ("" if rule["type"] == "string" else f" ({rule['description']})")
    if rule["type"] != "string" and not NUMBER.fullmatch(text):
        with_point = text.replace(",", ".")
        if NUMBER.fullmatch(with_point):
            return f"`{text}` has a comma; write a decimal point, as in {with_point}"
        return f"`{schemas.shown(text)}` is no number; give {wanted}, without its unit"
    return f"`{schemas.shown(text)}` is not allowed; give {wanted}"
