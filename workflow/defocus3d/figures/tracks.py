"""Pictures of a movie's localizations and tracks: on a raw frame, and in 3D."""

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Line3DCollection

from defocus3d.figures import style

MOST_POINTS = 20_000  # more would only hide one another
MOST_TRACKS = 1500
FLATTEST = 0.35  # height of a 3D box by its width, below which z is stretched to be seen


def typical_frame(localizations: pd.DataFrame) -> int:
    """The number of a frame that has as many good localizations as most have, among frames that have any; 0 where none has."""
    counts = localizations.loc[localizations["flag"] == 0, "frame"].value_counts().sort_index()
    if len(counts) == 0:
        return 0
    return int((counts - counts.median()).abs().idxmin())


@style.house_style
def draw_frame(image, localizations: pd.DataFrame, pixel_size_um: float, frame: int) -> Figure:
    """Frame number `frame`, raw, and beside it the same with its localizations, coloured by z.

    Parameters
    ----------
    image : array, shape (rows, columns)
        The frame in photoelectrons.
    localizations : DataFrame
        The movie's localizations, of any frames; those with a flag are crosses.
    """
    mine = localizations[localizations["frame"] == frame]
    good, flagged = mine[mine["flag"] == 0], mine[mine["flag"] != 0]
    # The colours of the whole movie, so that pictures of its frames can be compared.
    low, high = style.depth_limits(localizations.loc[localizations["flag"] == 0, "z_um"])
    rows, columns = np.shape(image)
    figure = style.new_figure(float(np.clip(3.1 * rows / columns, 1.0, 9.0)) + 0.75)
    left, right = figure.subplots(1, 2)
    limits = style.display_limits(image, 1, 99.9)
    for panel in (left, right):
        style.show_image(panel, image, pixel_size_um, limits, scale=False)
        style.scale_bar(panel, 0.25)
    left.set_title(f"frame {frame}")
    right.set_title(f"{len(good)} localized" + (f", {len(flagged)} flagged" if len(flagged) else ""))
    colours = style.DEPTH(Normalize(low, high)(good["z_um"].to_numpy()))
    right.scatter(good["x_um"], good["y_um"], s=48, facecolor="none", edgecolor=colours, linewidth=1.5, label="localized")
    right.scatter(flagged["x_um"], flagged["y_um"], s=26, color="black", marker="x", linewidth=1.1, label="flagged")
    if len(mine) == 0:
        style.note(right, "no bead was found")
    style.colour_bar(figure, ScalarMappable(Normalize(low, high), style.DEPTH), [left, right], "z (µm)", shrink=0.8)
    marks = [
        Line2D([], [], ls="none", marker="o", mfc="none", mec=style.DEPTH(0.5), mew=1.5, ms=7, label="localized, colour is z")
    ]
    if len(flagged):
        marks.append(Line2D([], [], ls="none", marker="x", color="black", mew=1.1, label="flagged, not used"))
    figure.legend(handles=marks, loc="outside lower center", ncols=2)
    return figure


@style.house_style
def draw_localizations(
    localizations: pd.DataFrame, colour: str = "z", frame_interval_s: float = 1.0, n_frames: int | None = None
) -> Figure:
    """All good localizations of a movie in 3D, coloured by z or by time.

    `colour` is "z" or "time"; raises ValueError otherwise. `n_frames` is the length of the movie, where known.
    """
    if colour not in ("z", "time"):
        raise ValueError(f"colour is 'z' or 'time', not {colour!r}")
    good = localizations[localizations["flag"] == 0]
    if len(good) == 0:
        return style.message_figure("no bead was found", "localizations")
    # Every k-th row, not the first rows: the whole movie is seen.
    shown = good.iloc[:: -(-len(good) // MOST_POINTS)]
    values = shown["z_um"] if colour == "z" else shown["frame"] * frame_interval_s
    figure, axes, beside = _space(good)
    size = float(np.clip(20_000 / len(shown), 2.0, 14.0))
    drawn = axes.scatter(
        shown["x_um"], shown["y_um"], shown["z_um"], c=values, cmap=style.DEPTH, s=size, linewidth=0, alpha=0.75, depthshade=False
    )
    _bar(figure, drawn, beside, "z (µm)" if colour == "z" else "time (s)")
    part = "" if len(shown) == len(good) else f", {len(shown):,} of them drawn"
    frames = f"{good['frame'].nunique():,}" + (f" of {n_frames:,}" if n_frames else "")
    text = f"{len(good):,} localizations in {frames} frames{part}"
    figure.suptitle(text, x=0.01, ha="left", fontsize=10)
    return figure


@style.house_style
def draw_tracks(tracks: pd.DataFrame, frame_interval_s: float) -> Figure:
    """The tracks of a movie in 3D, coloured by time, from the table tracks.parquet."""
    if len(tracks) == 0:
        return style.message_figure("no track was found", "tracks")
    lengths = tracks.groupby("particle").size().sort_values(ascending=False, kind="stable")
    longest = lengths.index[:MOST_TRACKS]
    shown = tracks[tracks["particle"].isin(longest)].sort_values(["particle", "frame"])
    points = shown[["x_um", "y_um", "z_um"]].to_numpy()
    same = shown["particle"].to_numpy()[1:] == shown["particle"].to_numpy()[:-1]
    steps = np.stack([points[:-1], points[1:]], axis=1)[same]
    times = shown["frame"].to_numpy()[1:][same] * frame_interval_s
    figure, axes, beside = _space(shown)
    lines = Line3DCollection(steps, cmap=style.DEPTH, linewidths=0.9 if len(longest) > 150 else 1.3)
    lines.set_array(times)
    axes.add_collection3d(lines, autolim=False)
    _bar(figure, lines, beside, "time (s)")
    part = "" if len(longest) == len(lengths) else f", the {len(longest):,} longest drawn"
    text = f"{len(lengths):,} tracks{part}; median {lengths.median():g} frames, longest {lengths.iloc[0]}"
    figure.suptitle(text, x=0.01, ha="left", fontsize=10)
    return figure


def _bar(figure, drawn, beside, label: str) -> None:
    """Draw the colour bar of a 3D picture in the axes kept for it."""
    bar = figure.colorbar(drawn, cax=beside, label=label)
    bar.outline.set_linewidth(0.5)
    bar.solids.set(alpha=1)


def _space(table: pd.DataFrame) -> tuple:
    """A figure, 3D axes in µm that hold the positions of `table`, in proportion unless too flat to see, and axes for a colour bar."""
    figure = style.new_figure(4.2)
    figure.set_layout_engine("none")  # it reserves no room for labels in 3D
    axes = figure.add_axes((-0.03, -0.02, 0.9, 1.0), projection="3d", computed_zorder=False)
    beside = figure.add_axes((0.895, 0.2, 0.018, 0.58))
    spans = []
    for axis in style.AXES:
        low, high = style.depth_limits(table[f"{axis}_um"])
        getattr(axes, f"set_{axis}lim")(low, high)
        spans.append(high - low)
    widest = max(spans[:2])
    lateral = [max(span, FLATTEST * widest) for span in spans[:2]]
    height = min(max(spans[2], FLATTEST * widest), widest)
    slender = min(lateral) / max(lateral)
    axes.set_box_aspect([*lateral, height], zoom=1.22 * slender**0.3)  # a long box reaches further to the sides
    stretch = height / spans[2]
    note = "" if abs(stretch - 1) < 0.05 else f", stretched ×{stretch:.1f}"
    axes.set_xlabel("x (µm)", labelpad=6)
    axes.set_ylabel("y (µm)", labelpad=6)
    axes.set_zlabel(f"z (µm{note})", labelpad=4)
    axes.view_init(elev=22, azim=-58)
    for pane in (axes.xaxis, axes.yaxis, axes.zaxis):
        pane.set_pane_color((0.97, 0.97, 0.97, 1.0))
        pane.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.zaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    return figure, axes, beside
