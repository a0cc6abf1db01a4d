"""Intervals from replicates of a bootstrap, and numbers that are ready for JSON."""

import numpy as np
from scipy.special import ndtri, stdtrit

ROUNDING = 1e-9  # relative


def small_sample_factor(weight) -> float:
    """How much wider than the bootstrap's an interval must be, from the weights of the tracks, shape (n_tracks, axes).

    Replicates of n tracks scatter by sqrt(1 - 1 / n) too little, and the 95 % bounds of a mean of few are those of Student's t. n is
    the effective number of tracks (Kish 1965, Survey Sampling), since long ones count for more; the axis with fewest decides.
    """
    squares = (weight**2).sum(axis=0)
    n = np.min(weight.sum(axis=0) ** 2 / np.maximum(squares, 1e-300)) if len(weight) else 0.0
    n = max(n, 2.0)
    return float(np.sqrt(n / (n - 1.0)) * stdtrit(n - 1.0, 0.975) / ndtri(0.975))


def interval(replicates) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval over the first axis; NaN where fewer than half of the replicates are finite, or all are alike, as of one track."""
    finite = np.isfinite(replicates)
    bounds = np.full((2, *np.shape(replicates)[1:]), np.nan)
    enough = (finite.mean(axis=0) > 0.5) & _differ(replicates) if len(replicates) else np.zeros(np.shape(replicates)[1:], bool)
    if np.any(enough):
        bounds[:, enough] = np.nanpercentile(np.where(finite, replicates, np.nan)[:, enough], [2.5, 97.5], axis=0)
    return bounds[0], bounds[1]


def _differ(replicates) -> np.ndarray:
    """Whether the finite ones of the replicates (first axis) differ by more than rounding."""
    known = np.isfinite(replicates)
    low, high = (edge(np.where(known, replicates, -sign * np.inf), axis=0) for edge, sign in ((np.min, -1), (np.max, 1)))
    return known.any(axis=0) & (high - low > ROUNDING * np.maximum(abs(high), abs(low)))


def with_interval(value, replicates) -> dict:
    """{value, ci95} of a number and its replicates."""
    low, high = interval(replicates)
    return {"value": float(value), "ci95": [float(low), float(high)]}


def finite_json(value):
    """`value` with every number that is not finite replaced by None, and NumPy numbers by Python's, through dicts and lists."""
    if isinstance(value, dict):
        return {str(key): finite_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [finite_json(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
