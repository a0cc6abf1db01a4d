"""Pictures of training scenes."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from defocus3d.figures import style


@style.house_style
def draw_scenes(clean, noisy, beads: pd.DataFrame, pixel_size_um: float, most: int = 4) -> Figure:
    """A few training scenes, above without noise and below as the camera would see them.

    Parameters
    ----------
    clean, noisy : array, shape (n, rows, columns)
        Expected photoelectrons, and one draw of the camera's noise.
    beads : DataFrame
        `scene` (index of the scene), `x_um`, `y_um`, `z_um`, `in_range` (bool). Beads in the axial range, which the networks have to
        report, are marked; those beyond it, which they must not report, are not.
    most : int
        The number of scenes that are drawn at most.
    """
    shown = min(len(clean), most)
    if shown == 0:
        return style.message_figure("no training scene")
    side = (style.WIDTH_IN - 1.0) / max(shown, 2)
    figure = style.new_figure(2 * side * np.shape(clean)[1] / np.shape(clean)[2] + 1.0)
    panels = figure.subplots(2, shown, squeeze=False)
    inside = beads[beads["in_range"].astype(bool)]
    low, high = style.depth_limits(inside["z_um"])
    drawn = None
    for index in range(shown):
        limits = style.display_limits(clean[index], 1, 99.7)
        mine = inside[inside["scene"] == index]
        beyond = int((beads["scene"] == index).sum()) - len(mine)
        for panel, image in zip(panels[:, index], (clean[index], noisy[index]), strict=True):
            style.show_image(panel, np.asarray(image), pixel_size_um, limits)
            # One set of rings for both rows: the lower image shows what the camera leaves of them.
            drawn = panel.scatter(mine["x_um"], mine["y_um"], c=mine["z_um"], cmap=style.DEPTH, vmin=low, vmax=high, s=0)
        panels[0, index].scatter(
            mine["x_um"],
            mine["y_um"],
            s=42,
            facecolor="none",
            linewidth=1.3,
            zorder=3,
            edgecolor=style.DEPTH((mine["z_um"].to_numpy() - low) / (high - low)),
        )
        panels[0, index].set_title(f"{len(mine)} in range,\n{beyond} beyond", fontsize=8.5)
    panels[0, 0].set_ylabel("expected, no noise")
    panels[1, 0].set_ylabel("with camera noise")
    drawn.set_clim(low, high)
    style.colour_bar(figure, drawn, list(panels.ravel()), "z of the marked beads (µm)")
    ring = Line2D([], [], ls="none", marker="o", mfc="none", mec=style.DEPTH(0.5), mew=1.3, ms=7)
    text = "bead in the axial range, to be reported (beads beyond it are in the image, unmarked)"
    figure.legend([ring], [text], loc="outside lower left")
    return figure
