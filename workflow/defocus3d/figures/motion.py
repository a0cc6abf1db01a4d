"""Pictures of the motion: mean squared displacements, displacement distributions, and all acquisitions at a glance."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from defocus3d.figures import style

ROW_IN = 0.42  # height of an acquisition's row in the summary
SHARPEST_RATIO, WIDEST_RATIO = 0.15, 2.0  # half-widths of the summary's axis around 1


def offset_um2(diffusion_um2_s: float, localization_sd_um: float, exposure_s: float) -> float:
    """The MSD in µm² of one axis, less 2 D t, at any lag t of a frame or more: static error less motion blur.

    2 σ² - 2 D τ / 3 for an exposure τ (Savin and Doyle 2005, Biophys. J. 88, 623, for uniform illumination).
    """
    return 2 * localization_sd_um**2 - 2 * diffusion_um2_s * exposure_s / 3


def _measured(brownian: dict, axis: str) -> tuple:
    """D, its 95 % bounds and the localization error of one axis, nan for what could not be measured."""
    entry = (brownian.get("D_um2_s") or {}).get(axis) or {}
    low, high = entry.get("ci95") or (None, None)
    sd = (brownian.get("localization_sd_um") or {}).get(axis)
    return tuple(style.number(value) for value in (entry.get("value"), low, high, sd))


def expected_diffusion(brownian: dict) -> tuple:
    """The Stokes-Einstein D and its standard deviation, nan where unknown."""
    entry = brownian.get("D_expected_um2_s") or {}
    return style.number(entry.get("value")), style.number(entry.get("sd"))


@style.house_style
def draw_msd(msd: pd.DataFrame, brownian: dict, exposure_s: float, title: str = "") -> Figure:
    """Mean squared displacement of each axis against the lag, and below it the D that each lag gives.

    Above: measured with 95 % bounds, the fit, and the line that Stokes and Einstein expect, both axes logarithmic. Below, where
    departures of a few per cent are seen: (MSD - offset) / (2 lag), the offset being that of localization error and motion blur.

    Parameters
    ----------
    msd : DataFrame
        The table msd.csv.
    brownian : dict
        The content of brownian.json.
    """
    if len(msd) == 0:
        return style.message_figure("too few displacements for a mean squared displacement", title)
    figure = style.new_figure(5.4)
    figure.suptitle(_headline(brownian, title), x=0.01, ha="left", fontsize=10)
    panels = figure.subplots(2, 3, sharex=True, sharey="row", height_ratios=[1.25, 1.0])
    for column, axis in enumerate(style.AXES):
        _msd_panel(panels[0, column], msd, brownian, exposure_s, axis)
        _d_panel(panels[1, column], msd, brownian, exposure_s, axis)
    panels[0, 0].set_ylabel("MSD (µm²)")
    panels[1, 0].set_ylabel("D from each lag (µm²/s)")
    style.plain_log(panels[0, 0].yaxis)
    figure.align_ylabels(panels[:, 0])
    _d_limits(panels[1, 0], brownian)
    entries = [
        Line2D([], [], color=style.INK, ls="none", marker="o", ms=4, label="measured, 95 % bounds"),
        Line2D([], [], color=style.INK, lw=1.2, label="fit"),
        Line2D([], [], color=style.GREY, ls="--", lw=1.6, label="Stokes-Einstein (±2 sd)"),
    ]
    style.legend_below(figure, entries)
    return figure


def _headline(brownian: dict, title: str) -> str:
    """The title with the verdict."""
    verdict = brownian.get("verdict")
    words = f"verdict: {verdict} {style.VERDICTS.get(verdict, ('', ''))[0]}" if verdict else ""
    return "   ".join(part for part in (title, words) if part)


def _bars(msd: pd.DataFrame, axis: str) -> np.ndarray:
    """Lengths of the error bars below and above the MSD, shape (2, n), in µm², zero where unknown."""
    value = msd[f"msd_{axis}_um2"].to_numpy(dtype=float)
    bars = np.stack([value - msd[f"msd_{axis}_low"], msd[f"msd_{axis}_high"] - value])
    return np.clip(np.nan_to_num(bars), 0, None)


def _msd_panel(panel, msd, brownian, exposure_s, axis) -> None:
    """Draw the MSD of one axis with fit and expectation."""
    d, low, high, sd = _measured(brownian, axis)
    lags = msd["lag_s"].to_numpy(dtype=float)
    panel.plot(lags, msd["expected_um2"], color=style.GREY, ls="--", lw=1.6, zorder=1)
    fit = 2 * d * lags + offset_um2(d, sd, exposure_s)
    panel.plot(lags, np.where(fit > 0, fit, np.nan), color=style.AXIS_COLOURS[axis], lw=1.2, zorder=2)
    panel.errorbar(
        lags,
        msd[f"msd_{axis}_um2"],
        yerr=_bars(msd, axis),
        ls="none",
        marker=style.AXIS_MARKERS[axis],
        color=style.AXIS_COLOURS[axis],
        elinewidth=1,
        capsize=2,
        zorder=3,
    )
    panel.set(xscale="log", yscale="log")
    panel.set_title(axis)
    panel.grid(True, which="major")
    text = "no fit" if np.isnan(d) else f"D = {d:#.3g} µm²/s\n[{low:#.3g}, {high:#.3g}]"
    if np.isfinite(sd):
        text += f"\nσ = {1000 * sd:.0f} nm"
    panel.text(0.96, 0.05, text, transform=panel.transAxes, ha="right", va="bottom", fontsize=8.5)


def _d_panel(panel, msd, brownian, exposure_s, axis) -> None:
    """Draw the D that each lag gives, with the expectation's and the fit's intervals."""
    d, low, high, sd = _measured(brownian, axis)
    expected, spread = expected_diffusion(brownian)
    lags = msd["lag_s"].to_numpy(dtype=float)
    offset = np.nan_to_num(offset_um2(d, sd, exposure_s))
    value = (msd[f"msd_{axis}_um2"].to_numpy(dtype=float) - offset) / (2 * lags)
    colour = style.AXIS_COLOURS[axis]
    if np.isfinite(expected):
        panel.axhline(expected, color=style.GREY, ls="--", lw=1.6)
        if np.isfinite(spread):
            panel.axhspan(expected - 2 * spread, expected + 2 * spread, color=style.GREY, alpha=0.22, lw=0)
    if np.isfinite(d):
        panel.axhline(d, color=colour, lw=1.2)
    panel.errorbar(
        lags,
        value,
        yerr=_bars(msd, axis) / (2 * lags),
        ls="none",
        marker=style.AXIS_MARKERS[axis],
        color=colour,
        elinewidth=1,
        capsize=2,
    )
    panel.set_xlabel("lag (s)")
    panel.grid(True, which="major", axis="y")
    _lag_ticks(panel, lags)


def _lag_ticks(panel, lags) -> None:
    """Write a few lags as plain numbers, those that are far enough apart on a logarithmic axis."""
    chosen = [lags[0]]
    for lag in lags[1:]:
        if lag >= 1.9 * chosen[-1]:
            chosen.append(lag)
    panel.set_xticks(chosen)
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    panel.xaxis.set_minor_locator(NullLocator())


def _d_limits(panel, brownian) -> None:
    """Keep the expectation in the middle third, so that a small departure does not look large, nor a large one small."""
    expected, spread = expected_diffusion(brownian)
    low, high = panel.get_ylim()
    if np.isfinite(expected):
        reach = max(abs(low - expected), abs(high - expected), 0.15 * expected, 3 * np.nan_to_num(spread))
        panel.set_ylim(expected - reach, expected + reach)


def lag_one_displacements(tracks: pd.DataFrame) -> pd.DataFrame:
    """Displacements in µm, columns x, y, z, between neighbouring frames of one track; steps over a gap are left out."""
    rows = tracks.sort_values(["particle", "frame"])
    steps = rows.groupby("particle")[["frame", "x_um", "y_um", "z_um"]].diff()
    steps = steps.loc[steps["frame"] == 1, ["x_um", "y_um", "z_um"]]
    return steps.set_axis(list(style.AXES), axis=1).reset_index(drop=True)


@style.house_style
def draw_displacements(
    tracks: pd.DataFrame, brownian: dict, frame_interval_s: float, exposure_s: float, title: str = ""
) -> Figure:
    """The distribution of displacements over one frame on each axis (van Hove), with the Gaussian that is expected.

    The Gaussian's variance is 2 D t + 2 σ² - 2 D τ / 3, D being the Stokes-Einstein value and σ the measured localization error.
    """
    steps = lag_one_displacements(tracks) if len(tracks) else pd.DataFrame(columns=list(style.AXES), dtype=float)
    if len(steps) < 2:
        return style.message_figure("too few displacements for a distribution", title)
    figure = style.new_figure(3.3)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    reach = 1.05 * float(np.abs(steps.to_numpy()).max()) or 1.0
    edges = np.linspace(-reach, reach, 2 * int(np.clip(np.sqrt(len(steps)) / 2, 5, 30)) + 2)
    peak = 1.0 / np.sqrt(2 * np.pi) / max(steps.std().min(), 1e-9)
    for panel, axis in zip(panels, style.AXES, strict=True):
        _van_hove(panel, steps[axis].to_numpy(), edges, brownian, frame_interval_s, exposure_s, axis)
    # The floor is half a count: below it the Gaussian says nothing about these data.
    floor = 0.5 / len(steps) / (edges[1] - edges[0])
    panels[0].set_ylim(floor, 4 * peak)
    panels[0].set_ylabel("probability density (1/µm)")
    entries = [
        Line2D([], [], color=style.INK, ls="none", marker="o", ms=4, label=f"{len(steps):,} measured displacements, 95 % bounds"),
        Line2D([], [], color=style.GREY, ls="--", lw=1.6, label="expected Gaussian"),
    ]
    style.legend_below(figure, entries)
    return figure


def _van_hove(panel, steps, edges, brownian, frame_interval_s, exposure_s, axis) -> None:
    """Draw one axis' histogram as points with Poisson bounds, and the expected Gaussian."""
    counts, _ = np.histogram(steps, edges)
    width = edges[1] - edges[0]
    middles = (edges[1:] + edges[:-1]) / 2
    scale = 1.0 / (len(steps) * width)
    seen = counts > 0
    # Poisson bounds by the square root of the count, good to a few per cent above 3 counts (Barlow's approximation below it).
    low = np.clip((np.sqrt(counts) - 0.98) ** 2, 0.05, None)
    high = (np.sqrt(counts + 0.75) + 0.98) ** 2
    bars = np.stack([counts - np.minimum(low, counts), high - counts]) * scale
    panel.errorbar(
        middles[seen],
        counts[seen] * scale,
        yerr=bars[:, seen],
        ls="none",
        marker=style.AXIS_MARKERS[axis],
        ms=3.5,
        color=style.AXIS_COLOURS[axis],
        elinewidth=0.8,
    )
    expected, _ = expected_diffusion(brownian)
    sd = np.nan_to_num(_measured(brownian, axis)[3])
    variance = 2 * expected * frame_interval_s + offset_um2(expected, sd, exposure_s)
    text = f"sd {1000 * np.std(steps):.0f} nm"
    if variance > 0:
        fine = np.linspace(edges[0], edges[-1], 400)
        density = np.exp(-(fine**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        panel.plot(fine, density, color=style.GREY, ls="--", lw=1.6, zorder=1)
        text += f", expected {1000 * np.sqrt(variance):.0f} nm"
    panel.set_yscale("log")
    panel.set_title(axis)
    panel.set_xlabel(f"displacement in {1000 * frame_interval_s:.3g} ms (µm)")
    panel.text(0.5, 0.97, text, transform=panel.transAxes, ha="center", va="top", fontsize=8)


@style.house_style
def draw_summary(summary: pd.DataFrame) -> Figure:
    """One row an acquisition: D of each axis by the expected D, with 95 % intervals, and the verdict, from the table summary.csv."""
    if len(summary) == 0:
        return style.message_figure("no acquisition")
    rows = summary.reset_index(drop=True)
    figure = style.new_figure(max(1.35 + ROW_IN * len(rows), 2.0))
    panel, words = figure.subplots(1, 2, width_ratios=[1.5, 1.0])
    reach = _ratio_reach(rows)
    for index, row in rows.iterrows():
        _summary_row(panel, index, row, reach)
        _summary_words(words, index, row)
    panel.axvline(1, color=style.INK, lw=1, ls="--", zorder=1)
    panel.set_xlim(1 - min(reach, 1.0), 1 + reach)
    panel.set_yticks(range(len(rows)), [str(name) for name in rows["acquisition"]])
    panel.tick_params(axis="y", length=0)
    panel.set_xlabel("measured D / Stokes-Einstein D")
    panel.grid(True, axis="x")
    for axes in (panel, words):
        axes.set_ylim(len(rows) - 0.5, -0.5)
    words.set_xlim(0, 1)
    words.set_axis_off()
    entries = [
        Line2D(
            [], [], color=style.AXIS_COLOURS[axis], marker=style.AXIS_MARKERS[axis], ms=5, lw=1.2, label=f"{axis}, 95 % interval"
        )
        for axis in style.AXES
    ]
    entries.append(Line2D([], [], color="#DADADA", lw=7, label="expected ±2 sd"))
    style.legend_below(figure, entries)
    return figure


def _ratio_reach(rows: pd.DataFrame) -> float:
    """Half the width of the summary's axis around 1: all intervals, within bounds."""
    expected = rows["D_expected_um2_s"].to_numpy(dtype=float)[:, None]
    bounds = rows[[f"D_{axis}_{side}" for axis in style.AXES for side in ("low", "high")]].to_numpy(dtype=float)
    distance = np.abs(bounds / expected - 1)
    distance = distance[np.isfinite(distance)]
    return float(np.clip(1.1 * distance.max(), SHARPEST_RATIO, WIDEST_RATIO)) if distance.size else SHARPEST_RATIO


def _summary_row(panel, index: int, row: pd.Series, reach: float) -> None:
    """Draw the three axes of one acquisition; what lies beyond the picture is an arrow at its edge."""
    expected = style.number(row["D_expected_um2_s"])
    spread = style.number(row["D_expected_sd"]) / expected
    if np.isfinite(spread):
        panel.barh(index, 4 * spread, left=1 - 2 * spread, height=0.86, color="#DADADA", lw=0, zorder=0)
    left, right = 1 - min(reach, 1.0), 1 + reach
    for axis, shift in zip(style.AXES, (-0.24, 0.0, 0.24), strict=True):
        value, low, high = (style.number(row[name]) / expected for name in (f"D_{axis}_um2_s", f"D_{axis}_low", f"D_{axis}_high"))
        if np.isnan(value):
            continue
        colour = style.AXIS_COLOURS[axis]
        if np.isfinite(low) and np.isfinite(high):
            panel.plot([low, high], [index + shift] * 2, color=colour, lw=1.3, zorder=2)
        marker = ">" if value > right else "<" if value < left else style.AXIS_MARKERS[axis]
        panel.plot(np.clip(value, left, right), index + shift, color=colour, marker=marker, ms=4.5, clip_on=False, zorder=3)


def _summary_words(words, index: int, row: pd.Series) -> None:
    """Write one acquisition's verdict, by symbol and word, and its D."""
    verdict = str(row["verdict"])
    symbol, colour = style.VERDICTS.get(verdict, ("", style.INK))
    words.text(0.0, index, symbol, color=colour, fontsize=13, fontweight="bold", va="center")
    words.text(0.09, index - 0.18, verdict, color=colour, fontweight="bold", va="center", fontsize=9)
    value, low, high = (style.number(row.get(name)) for name in ("D_xyz_um2_s", "D_xyz_low", "D_xyz_high"))
    expected = style.number(row["D_expected_um2_s"])
    text = "not measured" if np.isnan(value) else f"D {value:#.3g} [{low:#.3g}, {high:#.3g}]"
    text += "" if np.isnan(expected) else f", expected {expected:#.3g} µm²/s"
    words.text(0.09, index + 0.2, text, va="center", fontsize=7.5, color=style.INK)
