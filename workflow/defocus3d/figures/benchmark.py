"""Pictures and page of the benchmark: the data, errors by their bound, detection, uncertainties, and how time grows."""

import html

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from defocus3d.benchmark import sets
from defocus3d.figures import pages, style

# colour, marker and name of each method
METHODS = {
    "thorough": (style.BLUE, "o", "-", "defocus3d, thorough"),
    "quick": (style.GREEN, "v", (0, (5, 1)), "defocus3d, quick"),
    "networks": (style.SKY, "s", "--", "defocus3d, networks alone"),
    "correlation": (style.AMBER, "^", "-.", "cross-correlation"),
    "trackpy": (style.PINK, "D", ":", "trackpy with look-up"),
}
SHARES = {1: 0.6827, 2: 0.9545}  # of a normal distribution within so many σ
OVER = {"z_um": "z (µm)", "density_per_um2": "beads in range per µm²", "photons": "photoelectrons of a bead"}
CROP_PX = 128  # of a movie that is shown
STYLE = (
    "body{font:16px sans-serif;max-width:62em;margin:2em auto;padding:0 1em;color:#222}img{max-width:100%}"
    "table{border-collapse:collapse}td,th{padding:.25em .7em;border-bottom:1px solid #ccc;text-align:right}"
    "td:first-child,th:first-child{text-align:left}"
)


@style.house_style
def draw_movies(movies: dict) -> Figure:
    """A frame of each named set with its beads: `movies` has (image in photoelectrons, truth of that frame) by the set's name."""
    figure = style.new_figure(2.1)
    panels = figure.subplots(1, len(movies))
    for panel, (name, (image, truth)) in zip(panels, movies.items()):
        image = image[:CROP_PX, :CROP_PX]
        style.show_image(panel, image, sets.PIXEL_UM)
        edge = len(image) * sets.PIXEL_UM
        seen = truth[truth["x_um"].between(0, edge) & truth["y_um"].between(0, edge) & truth["z_um"].between(*sets.AXIAL_RANGE_UM)]
        low, high = sets.AXIAL_RANGE_UM
        drawn = panel.scatter(
            seen["x_um"], seen["y_um"], c=seen["z_um"], cmap=style.DEPTH, vmin=low, vmax=high, marker="+", s=22, linewidth=1
        )
        panel.set_title(sets.NAMED[name], fontsize=8.5)
    style.colour_bar(figure, drawn, list(panels), "true z (µm)", location="bottom", shrink=0.4, aspect=35, pad=0.03)
    return figure


@style.house_style
def draw_psf(images: dict) -> Figure:
    """The true image of a bead at several heights; `images` by z in µm, the brightness as its square root, each on a scale of its own."""
    figure = style.new_figure(1.15)
    panels = figure.subplots(1, len(images))
    for k, (panel, (z, image)) in enumerate(zip(panels, images.items())):
        shown = np.sqrt(np.maximum(image, 0))
        style.show_image(panel, shown, sets.PIXEL_UM, limits=(0, shown.max()), scale=k == 0)
        panel.set_title(f"{z:+.1f} µm" if z else "0 µm", fontsize=8.5)
    return figure


@style.house_style
def draw_errors(errors: pd.DataFrame) -> Figure:
    """Error of x, y, z of isolated beads against z by method, with the bound; the table errors.csv."""
    figure = style.new_figure(2.9)
    if len(errors) == 0:
        return style.message_figure("too few beads were found to tell an error")
    for panel, axis in zip(figure.subplots(1, 3), style.AXES):
        for method, rows in errors.groupby("method", sort=False):
            _line(panel, method, rows["z_um"], 1000 * rows[f"error_{axis}_um"])
        bound = errors.drop_duplicates("z_um").sort_values("z_um")
        panel.plot(bound["z_um"], 1000 * bound[f"crlb_{axis}_um"], color=style.INK, lw=1.2)
        panel.set(title=f"error of {axis}", xlabel="true z (µm)", yscale="log", ylabel="68 % of errors below (nm)")
        panel.grid(True, axis="y")
        style.plain_log(panel.yaxis)
    bound = Line2D([], [], color=style.INK, label="Cramér-Rao bound")
    style.legend_below(figure, [*_entries(errors), bound])
    return figure


@style.house_style
def draw_detection(detection: pd.DataFrame) -> Figure:
    """Jaccard index by density and by brightness; the table detection.csv."""
    figure = style.new_figure(2.9)
    panels = figure.subplots(1, 2, sharey=True)
    for panel, kind, column in zip(panels, ("density", "photons"), ("density_per_um2", "photons")):
        for method, rows in detection.groupby("method", sort=False):
            mine = rows[rows["set"].isin(sets.series(kind).values())].sort_values(column)
            _line(panel, method, mine[column], mine["jaccard"])
        panel.set(xscale="log", xlabel=OVER[column], ylim=(0, 1.03))
        style.plain_log(panel.xaxis)
        panel.grid(True, axis="y")
    panels[0].set(ylabel="3D Jaccard index", title="6,000 photoelectrons, background 20")
    panels[1].set(title="0.06 beads per µm², background 20")
    style.legend_below(figure, _entries(detection))
    return figure


@style.house_style
def draw_coverage(coverage: pd.DataFrame) -> Figure:
    """Share of errors within 1 and 2 σ by z, density and brightness, a row of panels a method; the table coverage.csv."""
    methods = [method for method in METHODS if (coverage["method"] == method).any()] if len(coverage) else []
    if not methods:
        return style.message_figure("too few beads were found to judge uncertainties")
    figure = style.new_figure(0.5 + 2.3 * len(methods))
    panels = figure.subplots(len(methods), len(OVER), squeeze=False, sharey=True)
    for row, method in zip(panels, methods):
        row[0].set_ylabel("share of the errors")
        for panel, (over, label) in zip(row, OVER.items()):
            mine = coverage[(coverage["method"] == method) & (coverage["over"] == over)]
            if mine.empty:
                panel.set_axis_off()  # not its ticks, which it shares with the others
                panel.text(0.5, 0.5, "too few beads\nwere found", transform=panel.transAxes, ha="center", va="center", color=style.GREY)
                continue
            for ideal in SHARES.values():
                panel.axhline(ideal, color=style.INK, lw=1, ls="--")
            for axis in style.AXES:
                looks = {"color": style.AXIS_COLOURS[axis], "marker": style.AXIS_MARKERS[axis], "lw": 1, "ms": 4}
                panel.plot(mine["value"], mine[f"within_1sigma_{axis}"], **looks)
                panel.plot(mine["value"], mine[f"within_2sigma_{axis}"], mfc="white", **looks)
            panel.set(xlabel=label, ylim=(0, 1.03))
            if over != "z_um":
                panel.set_xscale("log")
                style.plain_log(panel.xaxis, narrow=True)
        row[0].set_title(METHODS[method][3])
    entries = [Line2D([], [], color=style.AXIS_COLOURS[a], marker=style.AXIS_MARKERS[a], ms=5, label=a) for a in style.AXES]
    entries.append(Line2D([], [], color=style.INK, ls="--", label="68.3 and 95.4 %, of true uncertainties"))
    entries += [Line2D([], [], color=style.GREY, ls="", marker="o", mfc=face, label=text)
                for face, text in ((style.GREY, "within 1 σ"), ("white", "within 2 σ"))]  # fmt: skip
    style.legend_below(figure, entries)
    return figure


@style.house_style
def draw_growth(growth: pd.DataFrame) -> Figure:
    """How the time for a movie grows with frames, density and image size; the table growth.csv."""
    figure = style.new_figure(2.8)
    kinds = list(dict.fromkeys(growth["grows_with"]))
    panels = figure.subplots(1, len(kinds), sharey=True)
    for panel, kind in zip(panels, kinds):
        for method, rows in growth[growth["grows_with"] == kind].groupby("method", sort=False):
            _line(panel, method, rows["value"], rows["seconds"])
        panel.set(xscale="log", yscale="log", xlabel=kind)
        style.plain_log(panel.xaxis)
        panel.grid(True, axis="y")
    style.plain_log(panels[0].yaxis)
    panels[0].set(ylabel="time for the movie (s)")
    style.legend_below(figure, _entries(growth))
    return figure


def _line(panel, method: str, x, y) -> None:
    colour, marker, line, _ = METHODS[method]
    panel.plot(x, y, color=colour, marker=marker, ls=line, ms=3.5, lw=1.3)


def _entries(table: pd.DataFrame) -> list:
    shown = [looks for method, looks in METHODS.items() if (table["method"] == method).any()]
    return [Line2D([], [], color=colour, marker=marker, ls=line, ms=4, label=label) for colour, marker, line, label in shown]


def summary(tables: dict) -> pd.DataFrame:
    """What the page's table shows, one row a method, text in each cell. `tables`: accuracy, detection and speed by name."""
    rows = {}
    for method, (*_, label) in METHODS.items():
        accuracy, speed = (tables[name].set_index("method").loc[method] for name in ("accuracy", "speed"))
        found = tables["detection"].query("method == @method").set_index("set")["jaccard"]
        cells = {f"error of {axis} / bound": f"{accuracy[f'ratio_{axis}']:.2f}" for axis in style.AXES}
        for key, name in sets.NAMED.items():
            cells[f"Jaccard, {name}"] = f"{found[key]:.3f}" if key == "isolated" else f"{found[key]:.2f}"
        cells["frames per s"] = f"{speed['frames_per_s']:.3g}"
        cells["peak memory (MB)"] = f"{speed['peak_mb']:.0f}"
        rows[label] = cells
    return pd.DataFrame(rows)


def benchmark_page(tables: dict, seconds: dict, size: str, figures: dict) -> str:
    """The page. `seconds`: of each stage of the training; `figures`: heading, caption and PNG data by name."""
    parts = ["<h1>Benchmark: accuracy and speed against known truth</h1>"]
    if size != "full":
        parts.append("<p><b>The tiny size: it shows that the benchmark works, and its numbers mean nothing.</b></p>")
    parts.append(
        "<p>Simulated movies, with a PSF that has spherical aberration, coma and astigmatism; networks and PSF model from simulated "
        "bead stacks, as a user makes them. <i>Error / bound</i>: 68.3 % of errors lie below so many times the Cramér-Rao bound of "
        f"the true PSF; isolated beads of 6,000 photoelectrons, |z| ≤ {sets.SCORED_UM[1]:g} µm, after one offset an axis. "
        "<i>Jaccard</i>: beads within 0.25 µm laterally and 0.5 µm axially, one to one; those beyond the range must not be reported. "
        "The methods from libraries have the threshold that serves each movie best by the truth, which nobody has outside of a benchmark. "
        "Speed: 256 × 256 pixels, 50 beads a frame and others beyond the range.</p>"
    )
    table = summary(tables)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ["", *table.columns])
    rows = []
    for what, *values in table.itertuples():
        cells = "".join(f"<td>{value}</td>" for value in values)
        rows.append(f"<tr><td>{html.escape(what)}</td>{cells}</tr>")
    parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>")
    told = ", ".join(f"{html.escape(stage)} {value:.0f} s" for stage, value in seconds.items())
    parts.append(f"<p>From bead stacks to calibrated networks: {sum(seconds.values()) / 60:.1f} min ({told}).</p>")
    for heading, caption, data in figures.values():
        parts += [f"<h2>{html.escape(heading)}</h2>", pages.picture(data, "png", heading), f"<p>{html.escape(caption)}</p>"]
    parts.append(f"<p>The numbers are in {', '.join(f'{name}.csv' for name in tables)} beside this page.</p>")
    return pages.page("Benchmark", STYLE, "\n".join(parts) + "\n")


CAPTIONS = {
    "movies": (
        "What is localized",
        "A frame of each set, or the upper left of it; crosses are beads of the axial range, coloured by their true z.",
    ),
    "psf": (
        "A bead's image over z",
        "The true PSF, square root of the brightness: vectorial, NA 1.2 in water, 580 nm, a freely rotating point emitter.",
    ),
    "errors": ("Errors of isolated beads", "Look for lines that lie on the black one: no unbiased method stays below it."),
    "detection": ("Detection", "Diffusing beads with motion blur, and as many again per µm of depth beyond the axial range."),
    "coverage": ("Are the stated uncertainties true?", "Filled marks should lie on the lower dashed line, open ones on the upper."),
    "growth": (
        "How time grows",
        "Movies of 16 frames of 256 × 256 pixels and 0.076 beads per µm² but for what the panel varies.",
    ),
}
