"""The picture of the README: what goes in and what comes out, from one movie of a finished run. `make overview` draws it."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from matplotlib.figure import Figure

from defocus3d.figures import style

FRAME = 100  # of the movie
SIDE_PX = 112  # of the part of the frame that is shown
TRACK_FRAMES = 40  # before and after that frame
SHORTEST = 12  # frames of a track that is drawn


@style.house_style
def draw_overview(frame, localizations, tracks, msd, brownian: dict, pixel_size_um: float) -> Figure:
    """Four panels: a part of a raw frame, its localizations by colour, the tracks around that time in 3D, and the MSD.

    Parameters
    ----------
    frame : array (rows, columns)
        Of number `FRAME`.
    localizations, tracks, msd : DataFrames
        The tables of that name, of the whole movie.
    brownian : dict
        The content of brownian.json.
    """
    figure = style.new_figure(2.9, 11.4)
    panels = figure.subplots(1, 4, width_ratios=[1, 1.16, 1.35, 1.05])
    side_um, part = SIDE_PX * pixel_size_um, np.asarray(frame)[:SIDE_PX, :SIDE_PX]
    good = _within(localizations[localizations["flag"] == 0], side_um)
    limits = style.depth_limits(good["z_um"])
    for panel, title in zip(panels, ("a frame of the movie", "x, y and z of each bead", "", "does it move as it should?"), strict=True):
        panel.set_title(title)
    for panel in panels[:2]:
        style.show_image(panel, part, pixel_size_um, scale=panel is panels[0])
    here = good[good["frame"] == FRAME]
    rings = panels[1].scatter(here["x_um"], here["y_um"], c=here["z_um"], cmap=style.DEPTH, s=150, marker="o", linewidths=2.2)
    rings.set(clim=limits, facecolor="none", edgecolor=style.DEPTH(rings.norm(here["z_um"].to_numpy())))
    _draw_tracks(figure, panels[2], tracks, limits, side_um)
    _draw_msd(panels[3], msd, brownian)
    style.colour_bar(figure, rings, panels[1], "z (µm)", shrink=0.8, location="right")
    return figure


def _within(table: pd.DataFrame, side_um: float) -> pd.DataFrame:
    return table[(table["x_um"] < side_um) & (table["y_um"] < side_um)]


def _draw_tracks(figure, flat, tracks, limits, side_um) -> None:
    """Draw the tracks around the frame in place of the axes `flat`."""
    spec = flat.get_subplotspec()
    flat.remove()
    panel = figure.add_subplot(spec, projection="3d")
    panel.set_title("tracks", x=0.05)
    shown = _within(tracks[tracks["frame"].between(FRAME - TRACK_FRAMES, FRAME + TRACK_FRAMES)], side_um)
    for _, track in shown.groupby("particle"):
        if len(track) >= SHORTEST:
            colour = style.DEPTH((track["z_um"].mean() - limits[0]) / (limits[1] - limits[0]))
            panel.plot(track["x_um"], track["y_um"], track["z_um"], color=colour, lw=1.0)
    panel.set(xlim=(0, side_um), ylim=(side_um, 0), zlim=limits, xlabel="x (µm)", ylabel="y (µm)")  # the colour bar beside says what z is
    panel.set_box_aspect((1, 1, 0.62), zoom=1.1)
    panel.view_init(elev=24, azim=-62)
    panel.tick_params(labelsize=7, pad=-1)


def _draw_msd(panel, msd, brownian) -> None:
    """Draw the MSD of the three axes and the expected line."""
    panel.plot([0, *msd["lag_s"]], [0, *msd["expected_um2"]], color=style.GREY, ls="--", lw=1.8, label="expected", zorder=1)
    for axis in style.AXES:
        bars = [msd[f"msd_{axis}_um2"] - msd[f"msd_{axis}_low"], msd[f"msd_{axis}_high"] - msd[f"msd_{axis}_um2"]]
        panel.errorbar(msd["lag_s"], msd[f"msd_{axis}_um2"], yerr=np.clip(bars, 0, None), ls="none", marker=style.AXIS_MARKERS[axis],
                       ms=4, color=style.AXIS_COLOURS[axis], elinewidth=1, label=axis, zorder=3)  # fmt: skip
    panel.set(xlabel="lag (s)", ylabel="mean squared displacement (µm²)", xlim=(0, None), ylim=(0, None))
    found = brownian["D_um2_s"]["xyz"]
    low, high = found["ci95"]
    words = f"D = {found['value']:.2f} [{low:.2f}, {high:.2f}] µm²/s\n"
    words += f"expected {brownian['D_expected_um2_s']['value']:.2f}: {brownian['verdict']}"
    panel.text(0.98, 0.03, words, transform=panel.transAxes, ha="right", va="bottom", fontsize=8)
    panel.legend(loc="upper left")


if __name__ == "__main__":
    movie, results, picture = map(Path, sys.argv[1:])
    tables = [pd.read_parquet(results / f"{name}.parquet") for name in ("localizations", "tracks")]
    facts = [json.loads((results / f"{name}.json").read_text()) for name in ("brownian", "localization")]
    drawn = draw_overview(tifffile.imread(movie, key=FRAME), *tables, pd.read_csv(results / "msd.csv"), facts[0], facts[1]["pixel_size_um"])
    style.save(drawn, picture)
