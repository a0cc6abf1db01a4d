"""What has to hold between the rows of the sheets, and in the files that they name."""

import math
from collections.abc import Callable
from pathlib import Path

from defocus3d import metadata, schemas, trained
from defocus3d.camera import Camera
from defocus3d.frames import files_of
from defocus3d.metadata import Headers
from defocus3d.sheets import Sheet

FEWEST_PLANES = 4  # of a bead stack: a cubic spline over z needs as many
FEWEST_FRAMES = 2  # of a movie: one frame shows no motion
WATER_C = (0, 100)  # where the viscosity of water is known
SAME = 1e-6  # relative difference of two sizes that are the same number
SAME_BEADS = 0.1  # and of diameters, as stated of two batches, whose images are the same


def between_rows(stacks: Sheet, acquisitions: Sheet) -> list[str]:
    """What is wrong with rows that are right on their own; cells that are None were reported before and are passed over."""
    return [
        *_repeated_stacks(stacks),
        *_trained_alone(stacks),
        *_alike_stacks(stacks),
        *_repeated_names(acquisitions),
        *_without_stack(stacks, acquisitions),
        *_like_their_stacks(stacks, acquisitions),
        *_timing_and_water(acquisitions),
    ]


def _repeated_stacks(stacks: Sheet) -> list[str]:
    problems, first = [], {}
    for index, row in enumerate(stacks.rows):
        key = (row["optics"], row["path"])
        if None not in key and first.setdefault(key, index) != index:
            problems.append(
                f"{stacks.place(index)}: the same stack as in line {stacks.lines[first[key]]}; "
                "remove one of the two rows"
            )
    return problems + _differ_in_case(stacks, "optics")


def _trained_alone(stacks: Sheet) -> list[str]:
    problems = []
    for index, row in enumerate(stacks.rows):
        if row["trained"] is None:
            continue
        given = [column for column in ("path", "z_step_um") if row[column] is not None]
        if given:
            problems.append(
                f"{stacks.place(index)}, column trained: the row has {' and '.join(f'`{column}`' for column in given)} too; "
                "leave those empty to use trained networks, or `trained` to use the stack"
            )
        others = [line for other, line in zip(stacks.rows, stacks.lines) if other is not row and other["optics"] == row["optics"]]
        if others and row["optics"] is not None:
            problems.append(
                f"{stacks.place(index)}, column trained: line {others[0]} has the same optics; "
                "networks that are trained already take no stacks: remove one of the rows, or name the optics differently"
            )
    return problems


def _repeated_names(acquisitions: Sheet) -> list[str]:
    problems, first = [], {}
    for index, row in enumerate(acquisitions.rows):
        name = row["acquisition"]
        if name is not None and first.setdefault(name, index) != index:
            line = acquisitions.lines[first[name]]
            problems.append(
                f"{acquisitions.place(index)}, column acquisition: duplicate name `{name}`, used in line {line}; "
                "give each movie a name of its own"
            )
    return problems + _differ_in_case(acquisitions, "acquisition")


def _differ_in_case(sheet: Sheet, column: str) -> list[str]:
    problems, first = [], {}
    for index, row in enumerate(sheet.rows):
        name = row[column]
        if name is not None and first.setdefault(name.lower(), name) != name:
            other = first[name.lower()]
            problems.append(
                f"{sheet.place(index)}, column {column}: `{name}` and `{other}` are one folder on some systems; "
                "write them alike or rename one"
            )
    return problems


def _alike_stacks(stacks: Sheet) -> list[str]:
    problems = []
    for column, what in (("pixel_size_um", "pixel size"), ("bead_diameter_um", "size of beads")):
        first = {}
        for index, row in enumerate(stacks.rows):
            if row["optics"] is None or not _given(row[column]):
                continue
            other, line = first.setdefault(row["optics"], (row[column], stacks.lines[index]))
            if not math.isclose(row[column], other, rel_tol=SAME):
                problems.append(
                    f"{stacks.place(index)}, column {column}: {row[column]} differs from {other} in line {line}; "
                    f"stacks of one optics have one {what}: correct it, or name the optics differently"
                )
    return problems


def _given(number: float | None) -> bool:
    return number is not None and not math.isnan(number)


def of_stacks(stacks: Sheet, column: str) -> dict[str, float]:
    """The number that the first row of each optics that has one gives in `column`, by optics."""
    numbers = {}
    for row in stacks.rows:
        if row["optics"] is not None and _given(row[column]):
            numbers.setdefault(row["optics"], row[column])
    return numbers


def _without_stack(stacks: Sheet, acquisitions: Sheet) -> list[str]:
    known = sorted({row["optics"] for row in stacks.rows} - {None})
    if not known:
        return []  # the sheet of stacks has a problem of its own
    return [
        f"{acquisitions.place(index)}, column optics: `{row['optics']}` has no bead stack in {stacks.name}; "
        f"add one, or correct the name: {schemas.suggestion(row['optics'], known)}"
        for index, row in enumerate(acquisitions.rows)
        if row["optics"] is not None and row["optics"] not in known
    ]


def _like_their_stacks(stacks: Sheet, acquisitions: Sheet) -> list[str]:
    problems = []
    for column, tolerance, whose, advice in (
        ("pixel_size_um", SAME, "", "correct it or leave the cell empty, or record bead stacks at the movie's pixel size"),
        (
            "bead_diameter_um",
            SAME_BEADS,
            "the stacks of ",
            "correct it, record stacks of the beads that move, or, to use these nevertheless, leave the stacks' cell empty",
        ),
    ):
        numbers = of_stacks(stacks, column)
        for index, row in enumerate(acquisitions.rows):
            number, wanted = row[column], numbers.get(row["optics"])
            if number is not None and wanted is not None and not math.isclose(number, wanted, rel_tol=tolerance):
                problems.append(
                    f"{acquisitions.place(index)}, column {column}: {number} differs from {wanted} of {whose}its optics `{row['optics']}`; "
                    f"{advice}"
                )
    return problems


def _timing_and_water(acquisitions: Sheet) -> list[str]:
    problems = []
    for index, row in enumerate(acquisitions.rows):
        exposure, interval, temperature = row["exposure_s"], row["frame_interval_s"], row["temperature_c"]
        if exposure is not None and interval is not None and exposure > interval * (1 + metadata.TOLERANCE["exposure_s"]):
            problems.append(
                f"{acquisitions.place(index)}, column exposure_s: {exposure} is longer than frame_interval_s, {interval}; "
                "correct one of the two (both in seconds)"
            )
        if temperature is not None and row["viscosity_pa_s"] is None and not WATER_C[0] <= temperature <= WATER_C[1]:
            problems.append(
                f"{acquisitions.place(index)}, column temperature_c: water's viscosity is known from {WATER_C[0]} to {WATER_C[1]} °C, "
                f"not at {temperature:g}; correct it, or give viscosity_pa_s"
            )
    return problems


def in_files(stacks: Sheet, acquisitions: Sheet, config: dict, headers: Headers, made_by_rules: Callable[[str], bool]) -> list[str]:
    """What is wrong with the files that the sheets name, by their headers; no image is read.

    Files that `made_by_rules` says a rule will make are passed over while they are absent.
    """
    problems, sizes = [], of_stacks(stacks, "pixel_size_um")
    for sheet, check in ((stacks, _stack_length), (acquisitions, _movie_length)):
        for index, row in enumerate(sheet.rows):
            path = row["path"]
            if path is None or (made_by_rules(path) and not any((headers.base / file).exists() for file in files_of(path, headers.base))):
                continue
            found = headers.planes(path)
            what = found if isinstance(found, str) else check(row, found, config["axial_range_um"])
            if what:
                again = "; a rule makes this file: delete it to have it made again" if made_by_rules(path) else ""
                problems.append(f"{sheet.place(index)}, column path: {what}{again}")
            elif config["file_metadata"] == "check":
                problems += metadata.contradictions(sheet, index, headers.metadata(path), sizes)
    return problems + _shared_files(stacks, headers.base)


def _shared_files(stacks: Sheet, base: Path) -> list[str]:
    """Files that two rows of an optics name, each in its own way: a bead that is held out and pooled at once would judge itself."""
    problems, seen = [], {}
    for index, row in enumerate(stacks.rows):
        if row["path"] is None or row["optics"] is None:
            continue
        for file in files_of(row["path"], base):
            first = seen.setdefault((row["optics"], (base / file).resolve()), index)
            if first != index and stacks.rows[first]["path"] != row["path"]:
                line = stacks.lines[first]
                problems.append(f"{stacks.place(index)}, column path: {file} is in line {line} already; remove one of the two rows")
                break
    return problems


def in_trained(stacks: Sheet, acquisitions: Sheet, cameras: dict[str, Camera], config: dict, base: Path) -> list[str]:
    """What is wrong with the folders of trained networks that a sheet names, and what of the analysis their cards contradict.

    `cameras` are those of the movies, by acquisition.
    """
    problems = []
    for index, row in enumerate(stacks.rows):
        folder, optics, size = row["trained"], row["optics"], row["pixel_size_um"]
        if folder is None:
            continue
        place = f"{stacks.place(index)}, column trained"
        if optics and (base / folder).resolve() == (base / "results" / "optics" / optics).resolve():
            problems.append(f"{place}: {folder} is where the networks would be copied to; move it elsewhere, or name the optics differently")
            continue
        found, wrong = trained.examine(base / folder, shown=folder)
        problems += [f"{place}: {what}" for what in wrong]
        if found is None:
            continue
        card = found.card
        if size is not None and not card.has_pixels_of(size):
            problems.append(
                f"{stacks.place(index)}, column pixel_size_um: {size} differs from {card.pixel_size_um:g}, which the networks in {folder} "
                "were trained for; correct it, or use networks that were trained for this pixel size"
            )
        if config["axial_range_um"] != "auto" and not card.has_range(config["axial_range_um"]):
            problems.append(
                f"config, key axial_range_um: {config['axial_range_um']} differs from {list(card.axial_range_um)}, which the networks in "
                f"{folder} were trained for ({stacks.place(index)}); set it to that or to auto, or train networks for this range"
            )
        if config["localization"]["refine"] == "mle" and found.refine == "none":
            problems.append(
                f"config, key localization.refine: mle, but the networks in {folder} were calibrated without refinement "
                f"({stacks.place(index)}); set it to none, or evaluate them with mle in the analysis that trained them"
            )
        for other, movie in enumerate(acquisitions.rows):
            camera = cameras.get(movie["acquisition"])
            if movie["optics"] == optics and camera and not card.multiplies_as(camera):
                problems.append(
                    f"{acquisitions.place(other)}, column em_gain: {camera.em_gain:g} differs from {card.camera.em_gain:g}, which the "
                    f"networks in {folder} were trained for (electron multiplication doubles the variance); correct it here or in the "
                    "config's camera, or use networks trained for this camera"
                )
    return problems


def _stack_length(row: dict, n_planes: int, axial_range_um) -> str:
    if n_planes < FEWEST_PLANES:
        return (
            f"{row['path']}: holds {_planes_in_words(n_planes)}; "
            f"a bead stack has at least {FEWEST_PLANES}: name the whole stack, or a glob of its planes"
        )
    step = row["z_step_um"]
    if axial_range_um == "auto" or step is None:
        return ""
    low, high = axial_range_um
    covered = (n_planes - 1) * step
    if covered < (max(high, 0) - min(low, 0)) * (1 - SAME):  # beads must come into focus in the stack, too
        return (
            f"{row['path']}: covers {covered:g} µm ({n_planes} planes, {step:g} µm apart), less than axial_range_um, {low:g} to {high:g}; "
            ""
            "narrow axial_range_um in the config or set it to auto, correct z_step_um, or record a longer stack"
        )
    return ""


def _movie_length(row: dict, n_frames: int, _axial_range_um) -> str:
    if n_frames < FEWEST_FRAMES:
        return (
            f"{row['path']}: holds {_planes_in_words(n_frames)}; "
            f"a movie has at least {FEWEST_FRAMES} frames: name the whole movie, or a glob of its frames"
        )
    return ""


def _planes_in_words(n: int) -> str:
    return "one plane only" if n == 1 else f"{n} planes only"
