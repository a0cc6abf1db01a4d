"""Diffusion coefficients of a simulated movie's tracks, by measured and by true positions: what happened to move is in both."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from defocus3d.diffusion import LAGS, Experiment, Measurement, bootstrap, estimates
from defocus3d.evaluation import in_frame, match
from defocus3d.microscope import PIXEL_UM

AXES = ("x", "y", "z")
ANY_HEIGHT_UM = 1.0  # a bead whose height is wrong by less is still that bead


def measured_and_true(folder: Path, truth: pd.DataFrame, acquisition: dict, field_um: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """(D, its bootstrap replicates), each with x, y, z last: by measured and by true positions of the tracks in the results `folder`, and
    by the true positions of all beads, as if none were missed.

    The replicates are of the same tracks in the first two. `acquisition`: the movie's row of the checked sheet.
    """
    beads, tracks = in_frame(truth, field_um, PIXEL_UM).reset_index(drop=True), pd.read_parquet(folder / "tracks.parquet")
    i, j = match(beads, tracks, axial_um=ANY_HEIGHT_UM)
    assert len(j) > 0.97 * len(tracks)
    measured = tracks.iloc[j].reset_index(drop=True)
    true = measured.assign(**{f"{a}_um": beads[f"{a}_um"].to_numpy()[i] for a in AXES})
    info = json.loads((folder / "localization.json").read_text())
    experiment, complete = Experiment.of(acquisition, info), beads[beads["z_um"].between(*info["axial_range_um"])]
    window = experiment.window(pd.read_parquet(folder / "localizations.parquet"))
    range_um = json.loads((folder / "brownian.json").read_text())["search_range_um"]
    out = []
    for table in (measured, true, complete):
        table = table.sort_values(["particle", "frame"], kind="stable").reset_index(drop=True)
        measurement = Measurement.of(table, window, range_um, AXES, LAGS)
        found = estimates(measurement, experiment)
        out.append((found["diffusion"], bootstrap(measurement, experiment, found, 500, seed=1)["diffusion"]))
    return out
