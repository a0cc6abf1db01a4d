"""Sizes and times that files state, in µm and s; with care, since many files carry numbers that nobody meant.

A number counts only with a physical unit, within what microscopes do, and if it is not exactly 1, which is what many programs write
where they do not know.
"""

import math

LENGTHS_UM = {
    **dict.fromkeys(("m", "meter", "metre"), 1e6),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3),
    **dict.fromkeys(("um", "micron", "microns", "micrometer", "micrometre", "micrometers", "micrometres"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometre", "nanometers", "nanometres"), 1e-3),
    **dict.fromkeys(("å", "angstrom"), 1e-4),
    **dict.fromkeys(("pm", "picometer", "picometre"), 1e-6),
}  # no cm and no inch: those are printers' resolutions
TIMES_S = {
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "usec", "microsecond", "microseconds"), 1e-6),
}
LARGEST = {"pixel_size_um": 10.0, "z_step_um": 10.0, "frame_interval_s": 3600.0, "exposure_s": 3600.0}  # as the sheets'
SMALLEST = 1e-7
REGULAR = 0.1  # most that neighbouring intervals may differ, as a share, for a movie to have one interval
SQUARE = 0.01  # most that a pixel's width and height may differ


def length_um(value, unit) -> float | None:
    """A length in µm, or None where it says nothing."""
    return _quantity(value, unit, LENGTHS_UM)


def time_s(value, unit) -> float | None:
    """A time in s, or None where it says nothing."""
    return _quantity(value, unit, TIMES_S)


def _quantity(value, unit, units: dict[str, float]) -> float | None:
    name = str(unit or "").strip().lower().replace("\\u00b5", "u").replace("µ", "u").replace("μ", "u")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if name not in units or not math.isfinite(number) or number <= 0 or number == 1:
        return None
    return number * units[name]


def square(width: float | None, height: float | None) -> float | None:
    """The size of a pixel from its width and height; None where one is not known, or they differ."""
    if width is None or height is None or not math.isclose(width, height, rel_tol=SQUARE):
        return None
    return width


def regular(times_s: list[float]) -> float | None:
    """The interval of times that follow each other evenly; None where they do not."""
    steps = sorted(later - earlier for earlier, later in zip(times_s, times_s[1:], strict=False))
    if len(steps) < 2 or not all(map(math.isfinite, steps)):
        return None
    usual = steps[len(steps) // 10 : len(steps) - len(steps) // 10]  # without the odd late frame
    mean = sum(usual) / len(usual)
    return mean if 0 < mean and usual[-1] - usual[0] <= REGULAR * mean else None


def stated(**values: float | None) -> dict[str, float]:
    """The values that are known and within what microscopes do, to six digits, since resolutions are stored as rounded ratios."""
    known = {name: value for name, value in values.items() if value is not None}
    return {name: float(f"{value:.6g}") for name, value in known.items() if SMALLEST <= value <= LARGEST[name]}
