"""What files say of themselves, against the sheets: it fills empty cells, and contradicts wrong ones."""

import math
from pathlib import Path

from defocus3d import schemas
from defocus3d.camera import Camera
from defocus3d.frames import InputError, open_frames
from defocus3d.sheets import Sheet

# how far sheet and file may differ, as a share: rounding in the sheet, and for times the camera's clock
TOLERANCE = {"pixel_size_um": 0.01, "z_step_um": 0.01, "frame_interval_s": 0.02, "exposure_s": 0.02}


class Headers:
    """The headers of the files that sheets name, each read once.

    Parameters
    ----------
    base : Path
        The folder that paths are relative to.
    known : dict
        What is known of some paths already, as `filled` gives it: their files are not opened for it.
    """

    def __init__(self, base: Path, known: dict[str, dict[str, float]] | None = None):
        self.base, self._known = base, known or {}
        self._read: dict[str, tuple[int, dict[str, float]] | str] = {}

    def planes(self, path: str) -> int | str:
        """Number of planes, or what is wrong with the file."""
        found = self._header(path)
        return found if isinstance(found, str) else found[0]

    def metadata(self, path: str) -> dict[str, float] | str:
        """What the file says of itself, by column, or what is wrong with it."""
        if path in self._known:
            return self._known[path]
        found = self._header(path)
        return found if isinstance(found, str) else found[1]

    def _header(self, path: str) -> tuple[int, dict[str, float]] | str:
        if path not in self._read:
            try:
                with open_frames(path, Camera(), self.base) as frames:
                    self._read[path] = len(frames), frames.metadata
            except InputError as error:
                self._read[path] = str(error)
        return self._read[path]


def fill(sheet: Sheet, schema: dict, headers: Headers | None) -> dict[str, dict[str, float]]:
    """What the files gave for the sheet's open cells, by path and column; fills them, and adds those left empty to the sheet's problems.

    Without `headers` nothing is filled. Stacks of one optics get one pixel size: files round theirs differently.
    """
    filled: dict[str, dict[str, float]] = {}
    for index, column in sheet.open:
        row, rule = sheet.rows[index], schema["properties"][column]
        if row["path"] is None:
            continue  # reported before
        said = {} if headers is None else headers.metadata(row["path"])
        if isinstance(said, str):
            sheet.problems.append(f"{sheet.place(index)}, column path: {said}")
        elif column in said:
            value = said[column]
            if column == "pixel_size_um":
                others = (other[column] for other in sheet.rows if other["optics"] == row["optics"] and other[column] is not None)
                value = next((size for size in others if agree(column, size, value)), value)
            row[column] = filled.setdefault(row["path"], {})[column] = value
        else:
            why = "file_metadata is `ignore`" if headers is None else f"{row['path']} does not say it either"
            wanted = f"give {schemas.expected(rule)} ({rule['description']})"
            sheet.problems.append(f"{sheet.place(index)}, column {column}: is empty, and {why}; {wanted}")
    return filled


def contradictions(sheet: Sheet, index: int, said: dict[str, float], pixel_sizes: dict[str, float]) -> list[str]:
    """Where a row and its file disagree; `pixel_sizes` of the optics stand for a movie's empty cell."""
    row, problems = sheet.rows[index], []
    for column in TOLERANCE:
        value, source = row.get(column), f"{sheet.place(index)}, column {column}: "
        if column == "pixel_size_um" and value is None:
            value, source = pixel_sizes.get(row["optics"]), f"{source}empty, so that of its optics `{row['optics']}`, "
        if column in said and value is not None and not agree(column, value, said[column]):
            problems.append(
                f"{source}{value:g}, but {row['path']} says {said[column]:g}; correct the sheet, or, if the file is wrong, "
                "set `file_metadata: ignore` in the config"
            )
    return problems


def agree(column: str, given: float, stated: float) -> bool:
    """Whether two values of a column are the same within what rounding and clocks do."""
    return math.isclose(given, stated, rel_tol=TOLERANCE[column])


def in_words(filled: dict[str, dict[str, float]], most: int = 5) -> list[str]:
    """What was taken from files, a line for each of the first `most` files and one for the rest."""
    lines = [f"{path}: " + ", ".join(f"{column} {value:g}" for column, value in said.items()) for path, said in filled.items()]
    return lines if len(lines) <= most else [*lines[:most], f"and of {len(lines) - most} more files, which results/manifest.json lists"]
