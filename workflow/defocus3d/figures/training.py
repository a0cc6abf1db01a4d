"""The loss curves of the two networks."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from defocus3d.figures import style

NETWORKS = {"fcn": "FCN (lateral positions)", "cnn": "CNN (position from the crop)"}
WARM_UP = 0.05  # the share of the steps whose losses may lie beyond the picture: they dwarf all that follows


@style.house_style
def draw_training(training: pd.DataFrame) -> Figure:
    """Training and validation loss against the step, a panel a network, from the table training.csv."""
    figure = style.new_figure(3.0)
    for panel, (network, title) in zip(figure.subplots(1, 2), NETWORKS.items(), strict=True):
        rows = training[training["network"] == network].sort_values("step")
        panel.set_title(title)
        if len(rows) == 0:
            style.say(panel, "no training step was recorded")
            continue
        _curves(panel, rows)
    return figure


def _curves(panel, rows: pd.DataFrame) -> None:
    """Draw one network's losses, with the lowest validation loss marked."""
    panel.plot(rows["step"], rows["loss"], color=style.SKY, lw=1.2, label="training (fresh noise)")
    checked = rows.dropna(subset=["validation_loss"])
    if len(checked):
        panel.plot(checked["step"], checked["validation_loss"], color=style.INK, marker="o", ms=3, lw=1.2, label="validation")
        best = checked.loc[checked["validation_loss"].idxmin()]
        text = f"lowest {best['validation_loss']:.3g} at step {best['step']:,.0f}"
        panel.axhline(best["validation_loss"], color=style.ORANGE, ls=":", lw=1.2, label=text)
    minutes = rows["elapsed_s"].max() / 60
    panel.set_xlabel("step" if np.isnan(minutes) else f"step ({minutes:.1f} min in all)")
    panel.set_ylabel("loss")
    panel.grid(True, axis="y")
    panel.set_ylim(_limits(rows))
    panel.legend(loc="upper right")


def _limits(rows: pd.DataFrame) -> tuple:
    """The lowest and highest loss to show: all after the warm-up, with room for the legend."""
    late = rows[rows["step"] >= rows["step"].min() + WARM_UP * np.ptp(rows["step"])]
    values = late[["loss", "validation_loss"]].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    span = np.ptp(values) or abs(values[0]) or 1.0
    return values.min() - 0.06 * span, values.max() + 0.3 * span
