"""The house style of every picture: sizes, colours, scale bars, and saving whole or not at all."""

import functools

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from PIL import Image

from defocus3d.files import whole

DPI = 150
WIDTH_IN = 7.2  # a page's width in print

# Okabe and Ito's palette: told apart with any colour vision, and with markers and line styles also in grey.
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, AMBER, INK, GREY = "#56B4E9", "#E69F00", "#222222", "#8A8A8A"
# sign and colour of each verdict, those that need a look first
VERDICTS = {"failed": ("✗", INK), "inconsistent": ("✗", ORANGE), "insufficient": ("?", GREY), "consistent": ("✓", GREEN)}
AXES = ("x", "y", "z")
AXIS_COLOURS = {"x": BLUE, "y": ORANGE, "z": GREEN}
AXIS_MARKERS = {"x": "o", "y": "s", "z": "^"}

# Dark enough at both ends to be seen on white: plasma without its yellow.
DEPTH = ListedColormap(matplotlib.colormaps["plasma"](np.linspace(0.0, 0.84, 256)), name="depth")
IMAGE = "gray_r"  # ink on paper: beads are dark, so that coloured marks show

RC = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.edgecolor": INK,
    "axes.grid": False,
    "axes.unicode_minus": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "figure.facecolor": "white",
    "image.interpolation": "nearest",
}


def house_style(function):
    """`function`, run with the house style and without touching the style of anybody else."""

    @functools.wraps(function)
    def styled(*args, **kwargs):
        with matplotlib.rc_context(RC):
            return function(*args, **kwargs)

    return styled


def new_figure(height_in: float, width_in: float = WIDTH_IN) -> Figure:
    """An empty figure of the given size in inches, which keeps labels from overlapping."""
    figure = Figure(figsize=(width_in, height_in), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@house_style
def message_figure(text: str, title: str = "") -> Figure:
    """A figure that says only `text`: what a reader sees where there is nothing to draw."""
    figure = new_figure(1.6)
    axes = figure.add_subplot()
    axes.set_title(title)
    say(axes, text)
    return figure


def note(axes, text: str) -> None:
    """Write `text` over an image, on a plate of its own near the top."""
    plate = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 2}
    axes.text(0.5, 0.93, text, transform=axes.transAxes, ha="center", va="top", color=ORANGE, fontsize=11, bbox=plate, zorder=8)


def say(axes, text: str) -> None:
    """Write `text` in the middle of axes that have no data."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY, fontsize=10)


@house_style
def save(figure: Figure, path) -> None:
    """Write `figure` as PNG of 256 colours to `path`, a third of the size of one with all colours."""
    figure.canvas.draw()  # once; `savefig` would draw twice
    drawn = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    few = drawn.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    with whole(path) as aside:
        few.save(aside, "PNG", compress_level=6)


def display_limits(image, low: float = 1.0, high: float = 99.8) -> tuple:
    """Grey values (lowest, highest) at percentiles of `image`, so that one hot pixel does not darken the rest."""
    finite = np.asarray(image, dtype=float)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return 0.0, 1.0
    bottom, top = np.percentile(finite, [low, high])
    return (bottom, top) if top > bottom else (bottom, bottom + 1.0)


def show_image(axes, image, pixel_size_um: float, limits: tuple | None = None, cmap=IMAGE, scale: bool = True):
    """The drawn image of `image` (rows, columns), in µm with the first pixel's centre at (0, 0) and y downwards."""
    rows, columns = np.shape(image)
    edge = 0.5 * pixel_size_um
    low, high = limits if limits is not None else display_limits(image)
    extent = (-edge, columns * pixel_size_um - edge, rows * pixel_size_um - edge, -edge)
    drawn = axes.imshow(image, cmap=cmap, vmin=low, vmax=high, extent=extent)
    axes.set_xlim(extent[:2])
    axes.set_ylim(extent[2:])
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    if scale:
        scale_bar(axes)
    return drawn


def round_length(length: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above `length`."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(power * max(step for step in (1, 2, 5) if step * power <= length * (1 + 1e-9)))


def scale_bar(axes, fraction: float = 0.3, colour: str = INK, fontsize: float = 8) -> float:
    """Length in µm of a scale bar drawn in the lower left corner of axes whose x is in µm."""
    left, right = axes.get_xlim()
    length = round_length(fraction * abs(right - left))
    share = length / abs(right - left)
    text = f"{length:g} µm"
    # The plate behind bar and text keeps them legible on any image.
    axes.text(
        0.03,
        0.065,
        text,
        transform=axes.transAxes,
        ha="left",
        va="bottom",
        fontsize=fontsize,
        color=colour,
        zorder=6,
        bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8},
    )
    axes.plot([0.03, 0.03 + share], [0.045] * 2, transform=axes.transAxes, color=colour, lw=2.6, solid_capstyle="butt", zorder=7)
    return length


def plain_log(axis, narrow: bool = False) -> None:
    """Write a logarithmic `axis` (of matplotlib, with its limits set) in plain numbers, more of them the shorter it is.

    `narrow`: of a panel that has no room for three numbers a decade.
    """
    low, high = sorted(axis.get_view_interval())
    few = (1, 3) if narrow else (1, 2, 5)
    steps = (1, 1.5, 2, 3, 4, 5, 7) if high / low < 6 else few if high / low < 300 else (1,)
    ticks = [step * 10.0**power for power in range(-9, 10) for step in steps]
    axis.set_ticks([tick for tick in ticks if low * 0.999 <= tick <= high * 1.001])
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1000 else f"{value:g}")
    axis.set_minor_locator(NullLocator())  # nothing is between that a reader would count; and minor ticks cost more time than all else


def legend_below(figure, entries: list, title: str = "") -> None:
    """Put a legend under the whole figure, in as few rows as it has room for."""
    widths = [0.62 + 0.073 * len(entry.get_label()) for entry in entries]  # inches: the line, and the mean letter at this size
    for rows in range(1, len(entries) + 1):
        by_column = [widths[start : start + rows] for start in range(0, len(widths), rows)]
        if sum(max(column) for column in by_column) <= figure.get_figwidth():
            break
    figure.legend(handles=entries, loc="outside lower center", ncols=len(by_column), title=title, title_fontsize=8.5)


def depth_limits(z_um) -> tuple:
    """Colour limits in µm of positions `z_um`: their range, never empty."""
    z_um = np.asarray(z_um, dtype=float)
    z_um = z_um[np.isfinite(z_um)]
    if z_um.size == 0:
        return -1.0, 1.0
    low, high = float(z_um.min()), float(z_um.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def colour_bar(figure, drawn, axes, label: str, **options):
    """The colour bar of `drawn` beside `axes` (one or a list), with its label and unit."""
    bar = figure.colorbar(drawn, ax=axes, label=label, **{"shrink": 0.85, "aspect": 25, "pad": 0.02, **options})
    bar.outline.set_linewidth(0.5)
    bar.solids.set(alpha=1)
    return bar


def number(value) -> float:
    """`value` as a float; nan for None, which is how JSON writes what could not be measured."""
    return float("nan") if value is None else float(value)
