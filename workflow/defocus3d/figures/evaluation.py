"""How good the networks are: errors beside their lower bound, detection, and whether the uncertainties are true."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from defocus3d.figures import style

WITHIN_1_SIGMA, WITHIN_2_SIGMA = 0.6827, 0.9545  # of a normal distribution
STAGES = {"networks": ("--", "networks"), "quick": ("-.", "fit, quick search"), "thorough": ("-", "fit, thorough search")}


@style.house_style
def draw_evaluation(evaluation: pd.DataFrame, limit: pd.DataFrame | None, used: str) -> Figure:
    """Nine panels from the table evaluation.csv.

    Top: error of x, y, z against z with the Cramér-Rao bound. Middle: Jaccard index against density and brightness; share of
    errors within 1 and 2 σ. Bottom: the same bead stack's held-out beads against the stage position.

    `limit` (the table precision_limit.csv) shades the bounds from its brightest to its dimmest bead. `used`: the stage whose answers the
    movies get; what only one line can show is of it.
    """
    if len(evaluation) == 0:
        return style.message_figure("the networks were not evaluated")
    scenes = evaluation[evaluation["source"] == "scenes"]
    held_out = evaluation[evaluation["source"] == "held_out_beads"]
    # Without held-out beads their row is as high as the words that say so.
    lowest = 1.0 if len(held_out) else 0.3
    figure = style.new_figure(5.9 + 2.6 * lowest)
    figure.get_layout_engine().set(h_pad=0.06, w_pad=0.06)
    panels = figure.subplots(3, 3, height_ratios=[1.0, 1.0, lowest])
    _errors(panels[0], scenes, limit, used)
    _detection(panels[1, 0], scenes, "density_per_um2", "beads in range per µm²", used)
    _detection(panels[1, 1], scenes, "photons", "photoelectrons of a bead", used)
    _coverage(panels[1, 2], scenes, "coverage (scenes)", "not evaluated", used)
    _held_out_error(panels[2, 0], held_out, used)
    _held_out_bias(panels[2, 1], held_out, used)
    _coverage(panels[2, 2], held_out, "coverage (held out)", "no bead was held out", used)
    figure.align_ylabels(panels[:, 0])
    style.legend_below(figure, _legend(evaluation, limit))
    return figure


def _binned(rows: pd.DataFrame, axis: str) -> dict:
    """The rows over `axis` by stage, each with the bins' `middle`, in rising order; stages without rows left out."""
    rows = rows[rows["axis"] == axis]
    middle = np.sqrt(rows["bin_low"] * rows["bin_high"]) if axis == "photons" else (rows["bin_low"] + rows["bin_high"]) / 2
    rows = rows.assign(middle=middle)
    return {stage: rows[rows["stage"] == stage].sort_values("middle") for stage in STAGES if (rows["stage"] == stage).any()}


def _chosen(stages: dict, used: str) -> pd.DataFrame:
    """The rows of the stage that is `used`, or of the last there is."""
    return stages.get(used, list(stages.values())[-1])


def _errors(panels, scenes: pd.DataFrame, limit: pd.DataFrame | None, used: str) -> None:
    """Draw the error of each axis against z, with its lower bound."""
    stages = _binned(scenes, "z_um")
    for panel, axis in zip(panels, style.AXES, strict=True):
        panel.set_title(f"error of {axis} (scenes)")
        if not stages:
            style.say(panel, "not evaluated")
            continue
        if limit is not None and len(limit):
            bounds = 1000 * limit.groupby("z_um")[f"crlb_{axis}_um"].agg(["min", "max"])
            panel.fill_between(bounds.index, bounds["min"], bounds["max"], color="#E4E4E4", lw=0)
        for stage, rows in stages.items():
            _line(panel, rows, f"rmse_{axis}_um", axis, STAGES[stage][0])
        rows = _chosen(stages, used)
        panel.plot(rows["middle"], 1000 * rows[f"crlb_{axis}_um"], color=style.INK, lw=1.2, ls=":")
        panel.set(xlabel="z (µm)", ylabel="RMS error (nm)", yscale="log")
        panel.grid(True, axis="y")
        style.plain_log(panel.yaxis)


def _line(panel, rows, column, axis, line) -> None:
    """Draw one column in nm against the bins' middles, in the axis' colour."""
    hollow = {"mfc": "white"} if line != "-" else {}
    panel.plot(
        rows["middle"],
        1000 * rows[column],
        color=style.AXIS_COLOURS[axis],
        marker=style.AXIS_MARKERS[axis],
        ls=line,
        ms=4,
        **hollow,
    )


def _detection(panel, scenes: pd.DataFrame, axis: str, label: str, used: str) -> None:
    """Draw the Jaccard index of the detection, with recall and precision, over `axis`."""
    panel.set_title("detection (scenes)")
    stages = _binned(scenes, axis)
    if not stages:
        style.say(panel, "not evaluated")
        return
    rows = _chosen(stages, used)
    panel.plot(rows["middle"], rows["recall"], color=style.AMBER, marker="v", lw=1, ms=4, label="recall")
    panel.plot(rows["middle"], rows["precision"], color=style.PINK, marker="D", lw=1, ms=3.5, label="precision")
    panel.plot(rows["middle"], rows["jaccard"], color=style.INK, marker="o", label="Jaccard")
    panel.set(xlabel=label, ylabel="Jaccard, recall, precision", ylim=(0, 1.03))
    if axis == "photons":
        panel.set_xscale("log")
        style.plain_log(panel.xaxis)
    else:
        panel.set_xlim(left=0)
    panel.grid(True, axis="y")
    panel.legend(loc="lower left")


def _coverage(panel, rows: pd.DataFrame, title: str, missing: str, used: str) -> None:
    """Draw the share of errors within 1 and 2 σ against z, with the shares that honest uncertainties give."""
    panel.set_title(title)
    stages = _binned(rows, "z_um")
    if not stages:
        style.say(panel, missing)
        return
    rows = _chosen(stages, used)
    for ideal in (WITHIN_1_SIGMA, WITHIN_2_SIGMA):
        panel.axhline(ideal, color=style.INK, lw=1, ls="--")
    for axis in style.AXES:
        looks = {"color": style.AXIS_COLOURS[axis], "marker": style.AXIS_MARKERS[axis], "lw": 1, "ms": 4}
        panel.plot(rows["middle"], rows[f"within_1sigma_{axis}"], **looks)
        panel.plot(rows["middle"], rows[f"within_2sigma_{axis}"], mfc="white", **looks)
    panel.set(xlabel="z (µm)", ylabel="share of the errors", ylim=(0, 1.03))


def _held_out_error(panel, held_out: pd.DataFrame, used: str) -> None:
    """Draw the error of held-out beads against the stage position."""
    panel.set_title("error (held-out beads)")
    stages = _binned(held_out, "z_um")
    if not stages:
        style.say(panel, "no bead was held out")
        return
    for axis in style.AXES:
        _line(panel, _chosen(stages, used), f"rmse_{axis}_um", axis, "-")
    panel.set(xlabel="stage position (µm)", ylabel="RMS error (nm)", yscale="log")
    panel.grid(True, axis="y")
    style.plain_log(panel.yaxis)


def _held_out_bias(panel, held_out: pd.DataFrame, used: str) -> None:
    """Draw the mean axial error of held-out beads against the stage position, with the slope of z on it."""
    panel.set_title("z less the stage position")
    stages = _binned(held_out, "z_um")
    if not stages:
        style.say(panel, "no bead was held out")
        return
    rows = _chosen(stages, used)
    panel.axhline(0, color=style.INK, lw=1, ls="--")
    bars = 1000 * rows["rmse_z_um"].to_numpy(dtype=float)
    panel.errorbar(
        rows["middle"], 1000 * rows["bias_z_um"], yerr=bars, color=style.GREEN, marker="^", lw=1, elinewidth=0.8, capsize=2
    )
    reach = np.nanmax(np.abs(1000 * rows["bias_z_um"]) + bars) if np.isfinite(bars).any() else np.nan
    if np.isfinite(reach) and reach > 0:
        panel.set_ylim(-1.5 * reach, 1.5 * reach)
    panel.set(xlabel="stage position (µm)", ylabel="mean error ± RMS error (nm)")
    slopes = held_out.loc[(held_out["axis"] == "all") & (held_out["stage"] == rows["stage"].iloc[0]), "slope_z"].dropna()
    if len(slopes):
        panel.text(
            0.5, 0.95, f"slope {slopes.iloc[0]:.3f} (ideal 1)", transform=panel.transAxes, ha="center", va="top", fontsize=8.5
        )


def _legend(evaluation: pd.DataFrame, limit: pd.DataFrame | None) -> list:
    """Legend entries of the whole figure."""
    entries = [
        Line2D([], [], color=style.AXIS_COLOURS[axis], marker=style.AXIS_MARKERS[axis], ms=5, ls="-", label=axis)
        for axis in style.AXES
    ]
    entries.append(Line2D([], [], color=style.INK, ls=":", label="Cramér-Rao bound"))
    for stage, (line, label) in STAGES.items():
        if (evaluation["stage"] == stage).any():
            marks = {"marker": "o", "mfc": style.GREY if line == "-" else "white", "ms": 4}
            entries.append(Line2D([], [], color=style.GREY, ls=line, label=label, **marks))
    if limit is not None and len(limit):
        text = f"bound, {limit['photons'].min():,.0f} to {limit['photons'].max():,.0f} photoelectrons"
        entries.append(Line2D([], [], color="#E4E4E4", lw=7, label=text))
    entries += [Line2D([], [], color=style.GREY, ls="", marker="o", ms=5, mfc=face, label=f"errors within {sigmas} σ")
                for sigmas, face in ((1, style.GREY), (2, "white"))]  # fmt: skip
    return [*entries, Line2D([], [], color=style.INK, ls="--", label="ideal")]
