"""How good the networks are: matching with the truth, errors, Jaccard index, coverage; and what is calibrated from them."""

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment, minimize_scalar

LATERAL_UM, AXIAL_UM = 0.25, 0.5  # a localization this close to a bead has found it
OTHER_UM = 0.25  # a height this close to the true one is right
FEWEST_OTHERS = 30  # beads with two heights, one of them right, from which their odds can be learned
AXES = ("x", "y", "z")


def match(truth: pd.DataFrame, found: pd.DataFrame, axial_um: float = AXIAL_UM) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers in `truth` and in `found` of the pairs that belong together, one to one, frame by frame.

    Pairs lie within 0.25 µm laterally and `axial_um` axially; of all ways to pair, the one with most pairs, then the least squared
    distance. Both tables have `frame`, `x_um`, `y_um`, `z_um`.
    """
    pairs = []
    truth_rows = truth.reset_index(drop=True).groupby("frame").indices
    found_rows = found.reset_index(drop=True).groupby("frame").indices
    places = [t[["x_um", "y_um", "z_um"]].to_numpy() / (LATERAL_UM, LATERAL_UM, axial_um) for t in (truth, found)]
    for frame in sorted(set(truth_rows) & set(found_rows)):
        a, b = truth_rows[frame], found_rows[frame]
        apart = places[0][a][:, None] - places[1][b][None]
        possible = (np.hypot(apart[..., 0], apart[..., 1]) <= 1) & (abs(apart[..., 2]) <= 1)
        cost = np.where(possible, (apart**2).sum(axis=2), 1e3)
        i, j = linear_sum_assignment(cost)
        good = possible[i, j]
        pairs.append((a[i[good]], b[j[good]]))
    if not pairs:
        return np.empty(0, int), np.empty(0, int)
    return tuple(np.concatenate(p) for p in zip(*pairs))


def jaccard(truth: pd.DataFrame, found: pd.DataFrame, axial_range_um, scored_range_um=None) -> dict:
    """Counts and Jaccard index of `found` against `truth`: `n_truth`, `n_found`, `n_matched`, `jaccard`, `recall`, `precision`.

    Beads within `scored_range_um` (default: the axial range) must be found. A localization that shows a bead within the axial range
    but outside the scored one counts neither way; any other without a partner is false.
    """
    low, high = scored_range_um or axial_range_um
    present = truth[truth["z_um"].between(*axial_range_um)].reset_index(drop=True)
    i, j = match(present, found)
    scored = present["z_um"].between(low, high).to_numpy()
    matched = int(scored[i].sum())
    neutral = int((~scored[i]).sum())
    return score(int(scored.sum()), len(found) - neutral, matched)


def score(n_truth: int, n_found: int, matched: int) -> dict:
    """What `jaccard` gives, of these numbers of beads, of localizations, and of beads that were localized."""
    union = n_truth + n_found - matched
    return {"n_truth": n_truth, "n_found": n_found, "n_matched": matched, "jaccard": matched / union if union else np.nan,
            "recall": matched / n_truth if n_truth else np.nan, "precision": matched / n_found if n_found else np.nan}  # fmt: skip


def best_threshold(truth: pd.DataFrame, found: pd.DataFrame, axial_range_um) -> float:
    """The probability that maximises the Jaccard index of `found` (all detections above a low probability)."""
    thresholds = np.arange(0.2, 0.91, 0.05)
    inside = found["z_um"].between(*axial_range_um)
    scores = [jaccard(truth, found[(found["probability"] >= t) & inside], axial_range_um)["jaccard"] for t in thresholds]
    return float(round(thresholds[int(np.nanargmax(np.nan_to_num(scores)))], 2))


def other_weight(truth: pd.DataFrame, found: pd.DataFrame) -> float:
    """What the log-likelihood by which `z_um` is better than `other_z_um` (`other_loss`) is worth as log odds, between 0 and 1.

    By maximum likelihood, from the localizations one of whose two heights is right: logistic regression without a constant.
    """
    i, j = match(truth, found, axial_um=np.inf)
    z, pairs = truth["z_um"].to_numpy()[i], found.iloc[j]
    here, there = (abs(pairs[name].to_numpy() - z) < OTHER_UM for name in ("z_um", "other_z_um"))
    one = (here ^ there) & np.isfinite(pairs["other_loss"].to_numpy())
    if one.sum() < FEWEST_OTHERS:
        return 1.0
    loss, sign = pairs["other_loss"].to_numpy()[one], np.where(here, 1.0, -1.0)[one]
    found_best = minimize_scalar(lambda weight: np.logaddexp(0.0, -sign * weight * loss).sum(), bounds=(0.0, 1.0), method="bounded")
    return float(found_best.x)


def pairs_table(truth: pd.DataFrame, found: pd.DataFrame, axial_um: float = AXIAL_UM) -> pd.DataFrame:
    """One row a matched pair: all columns of `truth`, with `error_x_um`, `sigma_x_um` and so on of what was found."""
    i, j = match(truth, found, axial_um)
    pairs = truth.iloc[i].reset_index(drop=True)
    for axis in AXES:
        pairs[f"error_{axis}_um"] = found[f"{axis}_um"].to_numpy()[j] - pairs[f"{axis}_um"]
        pairs[f"sigma_{axis}_um"] = found[f"sigma_{axis}_um"].to_numpy()[j]
    return pairs


def row(source, stage, axis, low, high, counts: dict, pairs: pd.DataFrame) -> dict:
    """One row of evaluation.csv; `pairs` as `pairs_table` gives them, with `crlb_x_um` and so on where the bound is known."""
    out = {"source": source, "stage": stage, "axis": axis, "bin_low": low, "bin_high": high, **counts}
    for name in AXES:
        error, sigma = pairs[f"error_{name}_um"], pairs[f"sigma_{name}_um"]
        out[f"rmse_{name}_um"] = float(np.sqrt((error**2).mean())) if len(pairs) else np.nan
        out[f"crlb_{name}_um"] = float(np.sqrt((pairs[f"crlb_{name}_um"] ** 2).mean())) if f"crlb_{name}_um" in pairs else np.nan
        for k in (1, 2):
            out[f"within_{k}sigma_{name}"] = float((abs(error) <= k * sigma).mean()) if len(pairs) else np.nan
    out["bias_z_um"] = float(pairs["error_z_um"].mean()) if len(pairs) else np.nan
    return out


def in_frame(beads: pd.DataFrame, side_um: float, pixel_size_um: float) -> pd.DataFrame:
    """Those of `beads` that lie within a square image."""
    edge = -pixel_size_um / 2
    return beads[beads["x_um"].between(edge, side_um + edge) & beads["y_um"].between(edge, side_um + edge)].reset_index(drop=True)
