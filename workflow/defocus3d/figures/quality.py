"""Pictures of how good a movie's localizations are: how many a frame, how certain, and why others are flagged."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from defocus3d.figures import style
from defocus3d.tables import Flag

FLAGS = {
    Flag.OUT_OF_RANGE: "out of range",
    Flag.UNCERTAIN: "uncertain",
    Flag.MISFIT: "misfit",
    Flag.WEAK: "improbable",
    Flag.DOUBLE: "double",
}


@style.house_style
def draw_quality(localizations: pd.DataFrame, n_frames: int, frame_interval_s: float) -> Figure:
    """Localizations per frame over time, distributions of their uncertainties, and the number with each flag."""
    if len(localizations) == 0:
        return style.message_figure("no bead was found", "localizations per frame, uncertainties, flags")
    flagged = localizations["flag"].to_numpy() != 0
    figure = style.new_figure(2.9)
    time, sigma, flags = figure.subplots(1, 3, width_ratios=[1.2, 1, 0.8])
    seconds = np.arange(n_frames) * frame_interval_s
    kinds = {"good": ~flagged, "all": slice(None)}
    counts = {kind: np.bincount(localizations["frame"][rows], minlength=n_frames) for kind, rows in kinds.items()}
    time.plot(seconds, counts["all"], color=style.GREY, lw=0.9, ls="--", label="with flagged")
    time.plot(seconds, counts["good"], color=style.BLUE, lw=1.1, label="good")
    time.set(xlabel="time (s)", ylabel="localizations in a frame", title="per frame", ylim=(0, 1.3 * max(1, counts["all"].max())))
    time.legend(loc="upper right", ncols=2)
    _sigmas(sigma, localizations[~flagged])
    shares = {word: int((localizations["flag"] & bit.value != 0).sum()) for bit, word in FLAGS.items()}
    bars = {"good": int((~flagged).sum()), **shares}
    drawn = flags.barh(list(bars)[::-1], list(bars.values())[::-1], color=[style.AMBER] * len(shares) + [style.BLUE])
    flags.bar_label(drawn, fmt="{:,.0f}", padding=2, fontsize=8)
    flags.set(title="flags", xlabel="localizations", xlim=(0, 1.4 * max(bars.values())))
    flags.xaxis.set_major_locator(MaxNLocator(3))
    return figure


def _sigmas(panel, good: pd.DataFrame) -> None:
    """Draw the distributions of the uncertainties of x, y and z."""
    panel.set_title("uncertainty of the good")
    if len(good) == 0:
        style.say(panel, "no good localization")
        return
    nm = {axis: 1000 * good[f"sigma_{axis}_um"].to_numpy() for axis in style.AXES}
    together = np.concatenate(list(nm.values()))
    edges = np.geomspace(max(np.quantile(together, 0.002), 0.1), np.quantile(together, 0.998) * 1.05 + 0.1, 40)
    for (axis, values), line in zip(nm.items(), ("-", "--", "-."), strict=True):
        label = f"{axis}, median {np.median(values):.0f} nm"
        panel.hist(values, edges, histtype="step", color=style.AXIS_COLOURS[axis], ls=line, lw=1.3, label=label)
    panel.set_xscale("log")
    panel.set_xlim(edges[0], edges[-1])
    panel.set_ylim(top=1.75 * panel.get_ylim()[1])
    panel.set(xlabel="σ (nm)", ylabel="localizations")
    style.plain_log(panel.xaxis)
    panel.legend(loc="upper right", fontsize=7.5)
