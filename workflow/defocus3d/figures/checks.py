"""Whether beads are alike, everywhere and always: D by track and by height, and the memory of steps."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from defocus3d.figures import motion, style
from defocus3d.msd import covariance_sd


@style.house_style
def draw_checks(by_track: pd.DataFrame, brownian: dict, frame_interval_s: float, title: str = "") -> Figure:
    """D of each track against its length, D against z, and the velocity autocorrelation: whether beads are alike, everywhere, always.

    Parameters
    ----------
    by_track : DataFrame
        n (steps) and D_um2_s of each track.
    brownian : dict
        The content of brownian.json.
    """
    vacf, depth = brownian.get("velocity_autocorrelation") or [], brownian.get("D_by_z") or {}
    if not np.isfinite(by_track["D_um2_s"]).any():
        return style.message_figure("too few displacements to compare tracks", title)
    figure = style.new_figure(3.3)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    tracks, heights, memory = figure.subplots(1, 3)
    _track_panel(tracks, by_track, brownian, frame_interval_s)
    _depth_panel(heights, depth, brownian)
    _memory_panel(memory, vacf)
    entries = [
        Line2D([], [], color=style.AXIS_COLOURS[axis], marker=style.AXIS_MARKERS[axis], ms=4, ls="none", label=axis) for axis in style.AXES
    ]
    entries += [
        Line2D([], [], color=style.INK, marker="o", ms=4, ls="none", label="all axes"),
        Line2D([], [], color=style.GREY, ls="--", lw=1.6, label="expected"),
    ]
    style.legend_below(figure, entries)
    return figure


def _track_panel(panel, by_track, brownian, frame_interval_s) -> None:
    """Draw D of each track over its number of steps, within the funnel in which 95 % of like beads are expected."""
    seen = by_track[np.isfinite(by_track["D_um2_s"])]
    panel.plot(seen["n"], seen["D_um2_s"], ls="none", marker="o", ms=2.5, color=style.INK, alpha=0.5)
    expected, _ = motion.expected_diffusion(brownian)
    if np.isfinite(expected):
        n = np.geomspace(seen["n"].min(), seen["n"].max() + 1, 100)
        panel.axhline(expected, color=style.GREY, ls="--", lw=1.6)
        errors = [style.number(brownian["localization_sd_um"].get(axis)) ** 2 for axis in style.AXES]
        reduced = [error / (expected * frame_interval_s) for error in errors if np.isfinite(error)] or [0.0]
        half = 1.96 * np.sqrt(np.mean([covariance_sd(expected, n, e) ** 2 for e in reduced], axis=0) / len(style.AXES))
        panel.fill_between(n, expected - half, expected + half, color=style.GREY, alpha=0.22, lw=0)
        panel.set_ylim(min(-0.5 * expected, expected - half[0]), max(3.5 * expected, expected + half[0]))
    panel.set(xscale="log", xlabel="steps of the track", ylabel="D of a track (µm²/s)", title="beads alike?")
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
    panel.xaxis.set_minor_formatter(lambda value, _: "")


def _depth_panel(panel, depth, brownian) -> None:
    """Draw D of each axis by height, with 95 % bounds and the expectation, slowed by walls where they are known."""
    z = np.array(depth.get("z_um") or [], float)
    expected, _ = motion.expected_diffusion({"D_expected_um2_s": {"value": brownian.get("D_expected_bulk_um2_s")}})
    for shift, axis in zip((-0.02, 0.0, 0.02), style.AXES, strict=True):
        if len(z) == 0:
            break
        colour = style.AXIS_COLOURS[axis]
        value, sd = (np.array(depth[f"{name}_{axis}"], float) for name in ("D", "sd"))
        panel.errorbar(
            z + shift * np.ptp(z), value, yerr=1.96 * sd, ls="none", marker=style.AXIS_MARKERS[axis], ms=3.5, color=colour, elinewidth=0.8
        )
        slowed = expected * np.array(depth[f"wall_factor_{axis}"], float)
        panel.plot(z, slowed, color=style.GREY if np.ptp(slowed) == 0 else colour, ls="--", lw=1.6, zorder=1)
    if len(z) == 0:
        panel.text(0.5, 0.5, "too few displacements", transform=panel.transAxes, ha="center")
    panel.set(xlabel="z (µm)", ylabel="D (µm²/s)", title="alike at all heights?")


def _memory_panel(panel, vacf) -> None:
    """Draw the correlation of steps over the frames between them, with 95 % bounds; 0 is expected from the second frame on."""
    value = np.array([style.number(entry["value"]) for entry in vacf])
    bounds = np.array([[style.number(bound) for bound in entry["ci95"]] for entry in vacf]).reshape(-1, 2)
    frames = np.arange(1, len(value) + 1)
    seen = np.isfinite(value)
    bars = np.clip(np.nan_to_num(np.stack([value - bounds[:, 0], bounds[:, 1] - value])), 0, None)
    panel.axhline(0, color=style.GREY, ls="--", lw=1.6)
    panel.errorbar(frames[seen], value[seen], yerr=bars[:, seen], ls="none", marker="o", ms=4, color=style.INK, elinewidth=0.8)
    panel.axvspan(0.5, 1.5, color=style.GREY, alpha=0.15, lw=0)
    panel.xaxis.get_major_locator().set_params(integer=True)
    panel.set(xlabel="frames between steps", ylabel="correlation of steps", title="no memory?")
