"""Pictures of an optics: its PSF, the beads it was measured from, and the precision that it allows."""

import re

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from defocus3d.figures import style

MONTAGE_PANELS = 12
REJECTED_MARKERS = ("x", "D", "v", "P", "s", "<", "*", "h")
OTHER = "other reasons"


@style.house_style
def draw_psf(images, z_um, pixel_size_um: float, title: str = "PSF model") -> Figure:
    """A montage of the PSF over z, its x-z and y-z cuts through the centre, and how alike the planes are.

    Parameters
    ----------
    images : array, shape (n, rows, columns)
        The PSF at `z_um`, in any unit of brightness that is common to all planes; some tens of planes.
    z_um : array, shape (n,)
        Heights, rising, evenly spaced.
    """
    images, z_um = np.asarray(images, dtype=float), np.asarray(z_um, dtype=float)
    if len(images) == 0:
        return style.message_figure("no PSF model", title)
    figure = style.new_figure(5.7)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.3, 1.0])
    _montage(top, images, z_um, pixel_size_um)
    _cuts(bottom, images, z_um, pixel_size_um)
    top.suptitle(f"{title}: planes over z, each scaled to its own maximum", x=0.01, ha="left", fontsize=10)
    return figure


def _montage(figure, images, z_um, pixel_size_um) -> None:
    """Draw up to MONTAGE_PANELS planes, evenly spaced in z."""
    chosen = np.unique(np.linspace(0, len(images) - 1, MONTAGE_PANELS).round().astype(int))
    panels = figure.subplots(2, -(-len(chosen) // 2), squeeze=False).ravel()
    for panel, index in zip(panels, chosen, strict=False):
        plane = images[index]
        limits = (min(0.0, plane.min()), plane.max() if plane.max() > 0 else 1.0)
        style.show_image(panel, plane, pixel_size_um, limits, scale=index == chosen[0])
        panel.set_title(f"z = {z_um[index]:+.2f} µm".replace("-", "−"), fontsize=8.5, pad=3)
    for panel in panels[len(chosen) :]:
        panel.set_visible(False)


def _cuts(figure, images, z_um, pixel_size_um) -> None:
    """Draw the x-z and y-z cuts on one scale of brightness, in proportion, and how alike the planes are."""
    n, rows, columns = images.shape
    cuts = {"x": images[:, rows // 2, :], "y": images[:, :, columns // 2]}
    step = (z_um[-1] - z_um[0]) / (n - 1) if n > 1 else 1.0
    # The square root shows the rings beside the focus, which is many times brighter.
    shown = {axis: np.sqrt(np.clip(cut, 0, None)) for axis, cut in cuts.items()}
    highest = max(cut.max() for cut in shown.values()) or 1.0
    panels = figure.subplots(1, 3)
    for panel, (axis, cut) in zip(panels[:2], shown.items(), strict=True):
        half = 0.5 * cut.shape[1] * pixel_size_um
        extent = (z_um[0] - step / 2, z_um[-1] + step / 2, -half, half)
        drawn = panel.imshow(cut.T / highest, origin="lower", cmap=style.IMAGE, extent=extent, vmin=0, vmax=1, aspect="equal")
        panel.axvline(0, color=style.BLUE, lw=0.9, ls=":")
        panel.set_title(f"{axis}-z cut")
        panel.set_xlabel("z (µm)")
        panel.set_ylabel(f"{axis} (µm)")
    style.colour_bar(figure, drawn, list(panels[:2]), "√(brightness / maximum)", shrink=0.8)
    edges = (extent[0], extent[1]) * 2
    alike = panels[2].imshow(likeness(images), origin="lower", cmap=style.IMAGE, extent=edges, vmin=0, vmax=1)
    panels[2].set(xlabel="z (µm)", ylabel="z of another plane (µm)", title="likeness of planes")
    style.colour_bar(figure, alike, panels[2], "correlation", shrink=0.8)


def likeness(images) -> np.ndarray:
    """The correlation coefficient of each plane with each other, shape (n, n): near 1 where two heights look alike.

    Off the diagonal it should be low; a dark arm across the focus means that the two sides cannot be told apart.
    """
    flat = np.asarray(images, dtype=float).reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    flat = flat / np.where(norm > 0, norm, 1.0)
    return flat @ flat.T


@style.house_style
def draw_beads(projections: dict, beads: pd.DataFrame, pixel_size_um: float) -> Figure:
    """Each stack's projection with its beads marked: in the PSF model, held out, or rejected and why.

    Parameters
    ----------
    projections : dict of str to array (rows, columns)
        One picture (maximum over z, or the plane of best focus) by the stack's name, as in the column `stack`.
    beads : DataFrame
        The table beads.csv: `stack`, `bead`, `x_um`, `y_um`, `role`, `reason`.
    """
    if not projections:
        return style.message_figure("no bead stack")
    across = min(len(projections), 2)
    down = -(-len(projections) // across)
    side = 3.5 if across == 2 else 5.0
    kinds = _bead_kinds(beads)
    rows, columns = np.shape(next(iter(projections.values())))
    height = down * side * min(rows / columns, 1.6) + 0.25 * down + 0.2 * len(kinds)
    figure = style.new_figure(height, max(style.WIDTH_IN * across / 2, 5.4))
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for panel, (name, projection) in zip(panels, projections.items(), strict=False):
        style.show_image(panel, np.sqrt(np.clip(projection, 0, None)), pixel_size_um, scale=False)
        style.scale_bar(panel, 0.25)
        mine = beads[beads["stack"].astype(str) == str(name)] if len(beads) else beads
        _mark_beads(panel, mine, kinds)
        panel.set_title(_short(str(name)), fontsize=8.5)
        if len(mine) == 0:
            style.note(panel, "no bead was found")
    for panel in panels[len(projections) :]:
        panel.set_visible(False)
    if kinds:
        figure.legend(handles=_bead_legend(beads, kinds), loc="outside lower left", ncols=1, labelspacing=0.35)
    return figure


def _short(name: str, letters: int = 48) -> str:
    """The end of a long file name, which is what tells stacks apart."""
    return name if len(name) <= letters else "…" + name[-letters + 1 :]


def _group(reason: str) -> str:
    """A reason without its numbers and details, so that beads rejected alike share one mark."""
    return re.split(r"[:;(]|(?: at| of)? -?\d", reason, maxsplit=1)[0].strip() or "no reason given"


def _kinds_of(beads: pd.DataFrame) -> pd.Series:
    """The kind of each bead: `psf`, `held_out`, or the group of the reason why it was rejected."""
    reasons = beads["reason"].fillna("").astype(str).map(_group)
    return beads["role"].where(beads["role"].isin(["psf", "held_out"]), reasons)


def _bead_kinds(beads: pd.DataFrame) -> dict:
    """Marker options by kind of bead, those in the table only, the frequent reasons first."""
    if len(beads) == 0:
        return {}
    found = _kinds_of(beads).value_counts()
    ring = {"marker": "o", "s": 110, "facecolor": "none", "linewidth": 1.5}
    kinds = {}
    if "psf" in found:
        kinds["psf"] = {**ring, "edgecolor": style.BLUE}
    if "held_out" in found:
        kinds["held_out"] = {**ring, "marker": "s", "edgecolor": style.GREEN}
    reasons = [kind for kind in found.index if kind not in ("psf", "held_out")]
    if len(reasons) > len(REJECTED_MARKERS):
        reasons = [*reasons[: len(REJECTED_MARKERS) - 1], OTHER]
    for reason, marker in zip(reasons, REJECTED_MARKERS, strict=False):
        colour = {"color": style.ORANGE} if marker == "x" else {"facecolor": "none", "edgecolor": style.ORANGE}
        kinds[reason] = {"marker": marker, "s": 45, "linewidth": 1.4, **colour}
    return kinds


def _known_kinds(beads: pd.DataFrame, kinds: dict) -> pd.Series:
    """The kind of each bead among `kinds`; rare reasons are one kind."""
    found = _kinds_of(beads)
    return found.where(found.isin(list(kinds)), OTHER)


def _mark_beads(panel, beads: pd.DataFrame, kinds: dict) -> None:
    """Mark each bead, and write the number of each that is kept."""
    if len(beads) == 0:
        return
    for kind, rows in beads.groupby(_known_kinds(beads, kinds)):
        panel.scatter(rows["x_um"], rows["y_um"], zorder=3, label=kind, **kinds[kind])
        if kind in ("psf", "held_out"):
            for row in rows.itertuples():
                panel.annotate(
                    f"{row.bead}",
                    (row.x_um, row.y_um),
                    xytext=(6, 5),
                    textcoords="offset points",
                    fontsize=7.5,
                    color=kinds[kind]["edgecolor"],
                    zorder=4,
                    bbox={"facecolor": "white", "alpha": 0.6, "edgecolor": "none", "pad": 0.3},
                )


def _bead_legend(beads: pd.DataFrame, kinds: dict) -> list:
    """One legend entry a kind of bead, with how many there are."""
    counts = _known_kinds(beads, kinds).value_counts()
    words = {"psf": "kept, in the PSF model", "held_out": "kept, held out to test it"}
    entries = []
    for kind, marks in kinds.items():
        edge = marks.get("edgecolor", marks.get("color"))
        label = f"{words.get(kind, 'rejected: ' + kind)} ({counts[kind]})"
        entries.append(Line2D([], [], ls="none", marker=marks["marker"], mfc="none", mec=edge, mew=1.4, ms=7, label=label))
    return entries


@style.house_style
def draw_precision_limit(limit: pd.DataFrame) -> Figure:
    """The Cramér-Rao bound of x, y and z in nm against z, a line per brightness.

    `limit` is the table precision_limit.csv; where it holds several backgrounds, each has its own line style.
    """
    if len(limit) == 0:
        return style.message_figure("no precision limit was computed")
    figure = style.new_figure(3.2)
    panels = figure.subplots(1, 3, sharey=True)
    photons = np.sort(limit["photons"].unique())
    backgrounds = np.sort(limit["background_e"].unique())
    colours = style.DEPTH(np.linspace(0.0, 1.0, max(len(photons), 2)))
    lines = ["-", "--", ":", "-."]
    for (count, background), rows in limit.groupby(["photons", "background_e"]):
        rows = rows.sort_values("z_um")
        rank = int(np.searchsorted(backgrounds, background))
        colour = colours[int(np.searchsorted(photons, count))]
        for panel, axis in zip(panels, style.AXES, strict=True):
            panel.plot(rows["z_um"], 1000 * rows[f"crlb_{axis}_um"], color=colour, ls=lines[rank % len(lines)])
    for panel, axis in zip(panels, style.AXES, strict=True):
        panel.set_yscale("log")
        panel.set_title(f"{axis}")
        panel.set_xlabel("z (µm)")
        panel.grid(True, axis="y")
    style.plain_log(panels[0].yaxis)
    panels[0].set_ylabel("lower bound of the error (nm)")
    entries = [
        Line2D([], [], color=colour, label=f"{count:,.0f} photoelectrons")
        for count, colour in zip(photons[::-1], colours[: len(photons)][::-1], strict=True)
    ]
    if len(backgrounds) > 1:
        entries += [
            Line2D([], [], color=style.INK, ls=lines[rank % len(lines)], label=f"background {background:g} e/pixel")
            for rank, background in enumerate(backgrounds)
        ]
    title = "" if len(backgrounds) > 1 else f"background {backgrounds[0]:.3g} photoelectrons a pixel"
    style.legend_below(figure, entries, title)
    return figure
