"""Heterogeneity: whether all beads diffuse alike, wherever they are."""

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from defocus3d.msd import covariance_estimate, covariance_sd, independent_share

DEPTH_BINS = 6
FEWEST_IN_BIN = 30  # steps from which the D of a bin has an error worth its name
ROUNDS = 200  # of expectation-maximization


def two_populations(square, weight, lag: int) -> dict:
    """How much better two populations of beads explain the tracks than one.

    A track's sum of squared displacements over `lag` frames follows a Gamma distribution, whose shape is half the number of independent
    displacements (see `msd.independent_share`).
    One mean for all, against a mixture of two by expectation-maximization.

    Parameters
    ----------
    square, weight : arrays, shape (n_tracks, axes)
        Summed squared displacements in µm² and their numbers.

    Returns
    -------
    dict
        log_likelihood_ratio : twice the gain of the second population.
        relative : (low, high), mean squared displacements of the two over that of all.
        share : of the tracks that are of the slower kind.
    """
    totals = weight.sum(axis=0)
    seen = (totals > 0) & (square.sum(axis=0) > 0)
    mean = square[:, seen].sum(axis=0) / totals[seen]
    n = weight[:, seen].sum(axis=1) * independent_share(lag)
    s = (square[:, seen] / mean).sum(axis=1) * independent_share(lag)
    s, n = s[n > 0], n[n > 0]
    if len(n) < 4:
        return {"log_likelihood_ratio": np.nan, "relative": (np.nan, np.nan), "share": np.nan}
    variance, share = np.array([0.5, 1.5]), 0.5

    def log_likelihoods():
        each = -0.5 * (n[:, None] * np.log(variance) + s[:, None] / variance)
        return each + np.log([share, 1 - share])

    for _ in range(ROUNDS):
        joint = log_likelihoods()
        slow = 1 / (1 + np.exp(np.clip(joint[:, 1] - joint[:, 0], -500, 500)))
        share = float(np.clip(slow.mean(), 1e-6, 1 - 1e-6))
        for k, member in enumerate((slow, 1 - slow)):
            variance[k] = max((member * s).sum() / max((member * n).sum(), 1e-12), 1e-6)
    one = s.sum() / n.sum()
    gain = np.logaddexp.reduce(log_likelihoods(), axis=1).sum() + 0.5 * (n * np.log(one) + s / one).sum()
    if variance[0] > variance[1]:
        variance, share = variance[::-1], 1 - share
    return {"log_likelihood_ratio": max(2 * gain, 0.0), "relative": tuple(variance.tolist()), "share": share}


def track_diffusion(runs, frame_interval_s: float) -> pd.DataFrame:
    """D in µm²/s, mean of all axes, by the covariances of each track's steps, and the number of those: columns track, n, D_um2_s."""
    step, n_axes = np.diff(runs.position_um, axis=0), runs.position_um.shape[1]
    sums = []
    for lag in (1, 2):
        first = np.flatnonzero(runs.joined(lag))
        product = (step[first] * step[first + lag - 1]).sum(axis=1) / n_axes
        sums.append([np.bincount(runs.track[first], w, runs.n_tracks) for w in (np.ones(len(first)), product)])
    (n, square), (pairs, neighbour) = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = np.stack([square / n, neighbour / pairs], axis=-1)
    d, _ = covariance_estimate(covariance, frame_interval_s, blur=0.0)
    return pd.DataFrame({"track": np.arange(runs.n_tracks), "n": n.astype(np.int64), "D_um2_s": d})


def depth_profile(runs, links, window, frame_interval_s: float, blur: float, axes) -> pd.DataFrame:
    """D in µm²/s and its standard deviation by height: z_um, n, and D_{axis}, sd_{axis} of each axis, a row a bin.

    Steps count in the bin where the bead was a frame before they start, pairs of steps a frame before they meet, if the window holds them:
    a bead that happens to stay during an exposure looks sharper and is found nearer to focus, so that heights of the frames that a step
    joins would choose by its length, and the height where a pair meets by how the two correlate. Bins hold equal numbers; `z_um` is the mean
    of where their steps start. Standard deviations are those of theory (`msd.covariance_sd`).
    """
    table = {"z_um": [], "n": []} | {f"{name}_{axis}": [] for axis in axes for name in ("D", "sd")}
    at = axes.index("z") if "z" in axes else None
    held = window.holds(runs.position_um, 1).all(axis=1)
    held[1:] &= runs.joined(1)  # there is a frame before
    held[:1] = False
    counted = runs.joined(1) & held[:-1]
    if at is None or counted.sum() < DEPTH_BINS * FEWEST_IN_BIN:
        return pd.DataFrame(table)
    z = runs.position_um[:, at]
    before = np.roll(z, 1)
    edges = np.quantile(before[:-1][counted], np.linspace(0, 1, DEPTH_BINS + 1))
    where = np.digitize(before, edges[1:-1])
    sums = _binned(runs, links, held, where)
    for k in range(DEPTH_BINS):
        here = counted & (where[:-1] == k)
        table["z_um"].append(float(z[:-1][here].mean()))
        table["n"].append(int(here.sum()))
        for i, axis in enumerate(axes):
            weight, product = sums[:, i, k, 0], sums[:, i, k, 1]
            with np.errstate(invalid="ignore", divide="ignore"):
                covariance = product / weight / [links.kept_variance, links.kept_variance**2]
                d, error = covariance_estimate(covariance, frame_interval_s, blur)
                sd = covariance_sd(d, weight[0], error / (d * frame_interval_s) - 2 * blur)
            table[f"D_{axis}"].append(float(d))
            table[f"sd_{axis}"].append(float(sd))
    return pd.DataFrame(table)


def _binned(runs, links, held, where) -> np.ndarray:
    """Numbers and sums (last axis) of squared steps (first axis 0) and of products of neighbouring ones (1), shape (2, axes, bins, 2)."""
    sums = np.zeros((2, links.step_um.shape[1], DEPTH_BINS, 2))
    for k in range(2):
        first = np.flatnonzero(runs.joined(k + 1))
        middle = first + (k + 1) // 2
        true = links.true_probability[first] * (links.true_probability[first + 1] if k else 1.0)
        product = links.step_um[first] * links.step_um[first + k]
        for i in range(sums.shape[1]):
            weights = true * held[middle]
            sums[k, i, :, 0] = np.bincount(where[middle], weights, DEPTH_BINS)
            sums[k, i, :, 1] = np.bincount(where[middle], weights * product[:, i], DEPTH_BINS)
    return sums


def chance_of_spread(values, sd) -> float:
    """Chance of values to differ as much as these, or more, where all are equal within their standard deviations `sd`."""
    known = np.isfinite(values) & (np.asarray(sd) > 0)
    if known.sum() < 2:
        return 1.0
    values, weight = np.asarray(values)[known], np.asarray(sd)[known] ** -2.0
    mean = (weight * values).sum() / weight.sum()
    return float(chdtrc(known.sum() - 1, (weight * (values - mean) ** 2).sum()))
