"""Displacements in tracks: which ones count, which are false links, and their sums track by track."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import chdtr, gamma

MARGIN_STEPS = 3.0  # a step that starts this far inside, in expected steps, ends inside with a chance of 0.999
ALL_BUT = 0.005  # of the beads at either end of the heights
HEIGHTS, SEEN_SHARE = 10, 0.8  # bins of the axial range, and the share of the beads of its best quarter from which on they are seen in one
EM_ITERATIONS, EM_TOLERANCE, EM_STEPS = 200, 1e-5, 100_000
TINY = 1e-300  # instead of a division by 0
WIDEST = 4.0  # more, and the wide Gaussian looks like false links


@dataclass(frozen=True)
class Runs:
    """Positions in unbroken runs: rows sorted by track and frame, a new run wherever a frame is missing.

    Attributes
    ----------
    position_um : array, shape (n, axes)
    track : int array, shape (n,)
        0 to n_tracks - 1.
    run : int array, shape (n,)
    n_tracks : int
    sigma_um : array, shape (n, axes)
        Uncertainties of the positions as stated; NaN where they are not.
    """

    position_um: np.ndarray
    track: np.ndarray
    run: np.ndarray
    n_tracks: int
    sigma_um: np.ndarray

    def joined(self, lag: int) -> np.ndarray:
        """Whether row i and row i + `lag` are in one run, shape (n - lag,)."""
        return self.run[lag:] == self.run[: len(self.run) - lag]


def unbroken_runs(tracks: pd.DataFrame, axes) -> Runs:
    """`Runs` of a table with columns frame, particle and {axis}_um, in any order of rows."""
    ordered = tracks.sort_values(["particle", "frame"], kind="stable")
    frame, particle = ordered["frame"].to_numpy(), ordered["particle"].to_numpy()
    breaks = (np.diff(frame) != 1) | (np.diff(particle) != 0)
    run = np.concatenate([[0], np.cumsum(breaks)]) if len(frame) else np.empty(0, np.int64)
    track, names = pd.factorize(particle)
    position = ordered[[f"{axis}_um" for axis in axes]].to_numpy(float)
    sigma = ordered.reindex(columns=[f"sigma_{axis}_um" for axis in axes]).to_numpy(float)
    return Runs(position, track, run, len(names), sigma)


@dataclass(frozen=True)
class Window:
    """The box in which beads are seen, and how far inside of it a path must be at its middle to be counted.

    Whether a path is counted hangs on one position only, never on where it leads: in a uniform cloud of beads the steps before
    and after a position do not depend on it, so that choosing by it selects no kind of step. Choosing paths that stay in the
    box would leave out those that go outward and make D too small.
    """

    low_um: np.ndarray
    high_um: np.ndarray
    step_um: np.ndarray  # expected standard deviation of one step, per axis, with typical localization errors
    moved_um: float = np.inf  # the same of the motion alone; infinite: errors count for nothing
    margin_steps: float = MARGIN_STEPS

    def holds(self, position_um, reach: int) -> np.ndarray:
        """Whether each coordinate is so far inside that `reach` steps hardly lead out of the box; shape of `position_um`."""
        margin = self.margin_steps * np.sqrt(reach) * self.step_um
        return (position_um >= self.low_um + margin) & (position_um <= self.high_um - margin)


def where_seen(z_um, low_um: float, high_um: float, step_um: float) -> tuple[float, float]:
    """The heights from `low_um` to `high_um`, less those at both ends at which clearly fewer beads are seen; `step_um`: rms, of a frame.

    Dim beads are lost before they leave the axial range. Where that starts, an outward step ends a track as it does at an edge. At a wall,
    beads are as many as elsewhere and turn back: what is beyond counts for nothing.
    """
    ends = np.quantile(z_um, [ALL_BUT, 1 - ALL_BUT])
    counts, edges = np.histogram(z_um, HEIGHTS, ends if ends[0] < ends[1] else (low_um, high_um))
    # a bead in a bin will be there again, until it has left the range, in as many frames: so many fewer counts are independent
    stay = 1 + 1.6 * (edges[1] - edges[0]) * (high_um - low_um) / step_um**2
    enough = np.flatnonzero(counts + 2 * np.sqrt(stay * counts) >= SEEN_SHARE * np.quantile(counts, 0.75))  # within chance
    first, last = enough[0], enough[-1] + 1
    return float(edges[first]) if first else low_um, float(edges[last]) if last < HEIGHTS else high_um


@dataclass(frozen=True)
class Links:
    """Steps between consecutive frames and the probability that each joins two images of one bead.

    Attributes
    ----------
    step_um : array, shape (n - 1, axes)
        Without the drift; meaningless where the rows are not in one run.
    true_probability : array, shape (n - 1,)
        1 where the rows are not in one run.
    drift_um : array, shape (axes,)
        Mean step.
    kept_variance : float
        Share of a true step's variance that the search range leaves.
    false_share : float
        Share of false links among the steps.
    tails : (float, float)
        Of the true steps: share of those of the wide Gaussian, and its variance over that of the narrow one.
    repeated_share : float
        Share of the steps in which nothing changed, to the last digit: of a frame that came twice.
    """

    step_um: np.ndarray
    true_probability: np.ndarray
    drift_um: np.ndarray
    kept_variance: float
    false_share: float
    tails: tuple[float, float] = (0.0, 1.0)
    repeated_share: float = 0.0


def kept_of_variance(range_um: float, variance_um2) -> float:
    """Share of the variance per axis that is left when a Gaussian step is cut at length `range_um`.

    For equal variances of all axes: the ratio of two chi-squared distribution functions; unequal ones enter by their
    geometric mean.
    """
    dimensions = len(variance_um2)
    reduced = range_um**2 / np.exp(np.mean(np.log(variance_um2)))
    return float(chdtr(dimensions + 2, reduced) / chdtr(dimensions, reduced))


def _log_gauss(step, variance, range_um):
    """Logarithm of the density of Gaussian steps, cut at the search range, shape (n,); `variance` (axes,)."""
    within = chdtr(len(variance), range_um**2 / np.exp(np.mean(np.log(variance))))
    return -0.5 * ((step**2 / variance).sum(axis=1) + np.log(2 * np.pi * variance).sum()) - np.log(within)


def _relative_sd(runs: Runs, window: Window, which) -> np.ndarray:
    """Expected standard deviation of steps, by the stated uncertainties of the two positions, over the root mean square of all: (n, axes).

    1 where none are stated. A long step to a place where beads are localized badly is no false link.
    """
    squares = runs.sigma_um[:-1][which] ** 2 + runs.sigma_um[1:][which] ** 2
    if not (np.isfinite(window.moved_um) and np.isfinite(squares).all() and len(squares)):
        return np.ones(squares.shape)
    variance = window.moved_um**2 + squares
    return np.sqrt(variance / variance.mean(axis=0))


def _log_even(range_um: float, dimensions: int) -> float:
    """Logarithm of the density of steps that fill the search region, a ball (in 2D a disc), evenly."""
    return float(np.log(gamma(dimensions / 2 + 1)) - dimensions / 2 * np.log(np.pi) - dimensions * np.log(range_um))


@dataclass
class Mixture:
    """True and false steps: two Gaussians, cut at the search range, and an even filling of the search region.

    Attributes
    ----------
    range_um : float
    drift_um, variance_um2 : arrays, shape (axes,)
        Mean step, and variance of the narrow Gaussian, on average over steps.
    ratio, wide : float
        Variance of the wide Gaussian over that of the narrow one, and its share of the true steps.
    tails_known : bool
        These two stay as they are.
    false : array, shape (2,)
        Share of false steps among those that start near the edge of the window (0) and well inside (1).
    """

    range_um: float
    drift_um: np.ndarray
    variance_um2: np.ndarray
    ratio: float = 2.0
    wide: float = 0.1
    tails_known: bool = False
    false: np.ndarray = field(default_factory=lambda: np.full(2, 0.01))

    def probabilities(self, step, region, relative) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities that each of the steps, (n, axes), is true and that it is a true one of the wide Gaussian, each (n,).

        `relative`: see `_relative_sd`.
        """
        step, thinned = (step - self.drift_um) / relative, 1 / relative.prod(axis=1)
        narrow = (1 - self.wide) * np.exp(_log_gauss(step, self.variance_um2, self.range_um)) * thinned
        wide = self.wide * np.exp(_log_gauss(step, self.ratio * self.variance_um2, self.range_um)) * thinned
        even = self.false[region] * np.exp(_log_even(self.range_um, step.shape[1]))
        scale = (1 - self.false[region]) / ((1 - self.false[region]) * (narrow + wide) + even)
        return scale * (narrow + wide), scale * wide

    def refine(self, step, region, inside, relative) -> float:
        """Largest relative change of the variances in one round of expectation-maximization on these steps."""
        true, is_wide = self.probabilities(step, region, relative)
        n = np.maximum(np.bincount(region, minlength=2), 1)
        self.false = np.clip(np.bincount(region, 1.0 - true, minlength=2) / n, 1e-9, 0.9)
        if not self.tails_known:
            self.wide = float(np.clip(is_wide.sum() / max(true.sum(), TINY), 1e-6, 1 - 1e-6))
        weight = np.maximum((true - is_wide + is_wide / self.ratio)[:, None] * inside, TINY)
        self.drift_um = (weight * step).sum(axis=0) / weight.sum(axis=0)
        squared, before = ((step - self.drift_um) / relative) ** 2, self.variance_um2
        scatter = (weight * squared).sum(axis=0) / np.maximum(true[:, None] * inside, TINY).sum(axis=0)
        self.variance_um2 = np.clip(scatter / kept_of_variance(self.range_um, before), 1e-12, self.range_um**2)
        if not self.tails_known:
            reduced = (is_wide * (squared / self.variance_um2).mean(axis=1)).sum() / max(is_wide.sum(), TINY)
            self.ratio = float(np.clip(reduced / kept_of_variance(self.range_um, self.ratio * before), 1.0, WIDEST))
        return float(np.max(np.abs(self.variance_um2 / before - 1)))

    @property
    def kept_variance(self) -> float:
        """Share of the true steps' variance that the search range leaves."""
        share = np.array([1 - self.wide, self.wide * self.ratio])
        kept = [kept_of_variance(self.range_um, factor * self.variance_um2) for factor in (1.0, self.ratio)]
        return float(share @ kept / share.sum())


def find_false_links(runs: Runs, window: Window, range_um: float, tails: tuple[float, float] | None = None) -> Links:
    """`Links` of the steps in `runs`, by maximum likelihood of a mixture of true and false steps.

    False steps end on any localization within the search range, so that they fill the ball evenly and their number grows as
    r² in 3D: few, but long, they would make D too large. Their share is one for steps that start well inside the window, and another
    near its edge, where beads leave. True steps are Gaussian, as wide as motion and the stated uncertainties make them, cut at the
    search range; a second, wider Gaussian (up to `WIDEST` times the variance) leaves room for localization errors with tails and for
    beads that are not alike.
    Expectation-maximization (Dempster, Laird and Rubin 1977, J. R. Stat. Soc. B 39, 1), on at most `EM_STEPS` steps.

    `tails`: those of the same beads' steps at another search range, where they are known. In a wide range false links, which lead to
    the nearest bead and so do not fill the ball evenly, can pose as a wide Gaussian.
    """
    step_all = np.diff(runs.position_um, axis=0)
    # a step of 0 to the last digit is that of a frame that came twice: no motion, and no false link
    joined = runs.joined(1)
    told = joined & (step_all != 0).any(axis=1)
    step, probability, repeated = step_all[told], np.ones(len(step_all)), 1.0 - told.sum() / max(joined.sum(), 1)
    if len(step) == 0:
        return Links(step_all, probability, np.zeros(runs.position_um.shape[1]), 1.0, 0.0, repeated_share=repeated)
    inside = window.holds(runs.position_um[:-1][told], 1)
    region = inside.all(axis=1).astype(np.int64)
    drift = np.median(step, axis=0)
    spread = 1.4826 * np.median(np.abs(step - drift), axis=0)
    mixture = Mixture(range_um, drift, np.maximum(spread**2, 1e-12))
    if tails:
        mixture.wide, mixture.ratio, mixture.tails_known = *tails, True
    relative, few = _relative_sd(runs, window, told), slice(None, None, -(-len(step) // EM_STEPS))
    for _ in range(EM_ITERATIONS):
        if mixture.refine(step[few], region[few], inside[few], relative[few]) < EM_TOLERANCE:
            break
    probability[told] = true = mixture.probabilities(step, region, relative)[0]
    weight = np.maximum(true[:, None] * inside, TINY)
    drift = (weight * step).sum(axis=0) / weight.sum(axis=0)
    tails, false = (mixture.wide, mixture.ratio), float(1.0 - true.mean())
    return Links(step_all - drift, probability, drift, mixture.kept_variance, false, tails, repeated)


@dataclass(frozen=True)
class Sums:
    """Weighted sums over each track, from which every estimate follows.

    Attributes
    ----------
    weight : array, shape (n_tracks, axes, lags)
        Paths over 1, 2, ... frames, each as much as the probability that all its links are true.
    square : array, shape (n_tracks, axes, lags)
        Their squared displacements in µm².
    product : array, shape (n_tracks, axes, lags)
        Products of their first and last steps in µm²: column 0 is the squared step, column 1 that of neighbouring steps.
    step : array, shape (n_tracks, axes, 1)
        Steps in µm.
    fourth : array, shape (n_tracks, axes, lags)
        Fourth powers of the displacements in µm⁴.
    middle : array, shape (n_tracks, axes, 3)
        Of the middle ones of three steps, each as much as the probability that all links are true: their number, their squares, and the
        mean of their products with the two others, in µm².
    used : int array, shape (axes,)
        Steps that start far enough inside the window, false ones included.
    """

    weight: np.ndarray
    square: np.ndarray
    product: np.ndarray
    step: np.ndarray
    fourth: np.ndarray
    middle: np.ndarray
    used: np.ndarray

    def totals(self, counts=None) -> dict[str, np.ndarray]:
        """Sums over tracks by name, each (axes, lags, 1 or 3); with `counts` (replicates, n_tracks) one for each replicate."""
        names = ("weight", "square", "product", "step", "fourth", "middle")
        if counts is None:
            return {name: getattr(self, name).sum(axis=0) for name in names}
        return {name: np.tensordot(counts, getattr(self, name), axes=(1, 0)) for name in names}


def track_sums(runs: Runs, links: Links, window: Window, lags: int) -> Sums:
    """`Sums` of all tracks for paths over 1 to `lags` frames, each chosen by its middle position (a step by its start)."""
    n, dimensions = runs.position_um.shape
    weight, square, product, fourth = (np.zeros((runs.n_tracks, dimensions, lags)) for _ in range(4))
    step = np.zeros((runs.n_tracks, dimensions, 1))
    used = np.zeros(dimensions, np.int64)
    log_true = np.concatenate([[0.0], np.cumsum(np.log(np.maximum(links.true_probability, TINY)))])
    for lag in range(1, min(lags, n - 1) + 1):
        first = np.flatnonzero(runs.joined(lag))
        inside = window.holds(runs.position_um[first + lag // 2], reach=lag - lag // 2)
        weights = np.exp(log_true[first + lag] - log_true[first])[:, None] * inside
        moved = runs.position_um[first + lag] - runs.position_um[first] - lag * links.drift_um
        ends = links.step_um[first] * links.step_um[first + lag - 1]
        for axis in range(dimensions):

            def tally(value, weights=weights[:, axis], track=runs.track[first]):
                return np.bincount(track, weights * value, minlength=runs.n_tracks)

            weight[:, axis, lag - 1] = tally(1.0)
            square[:, axis, lag - 1] = tally(moved[:, axis] ** 2)
            fourth[:, axis, lag - 1] = tally(moved[:, axis] ** 4)
            product[:, axis, lag - 1] = tally(ends[:, axis])
            if lag == 1:
                step[:, axis, 0] = tally(moved[:, axis])
                used[axis] = np.count_nonzero(inside[:, axis])
    return Sums(weight, square, product, step, fourth, _middle_sums(runs, links, window), used)


def _middle_sums(runs: Runs, links: Links, window: Window) -> np.ndarray:
    """`Sums.middle`; the three steps are chosen by the mean of the two positions that the middle one joins, which lies in the middle of all."""
    out, first = np.zeros((runs.n_tracks, runs.position_um.shape[1], 3)), np.flatnonzero(runs.joined(3))
    before, step, after = (links.step_um[first + k] for k in range(3))
    true = np.prod([links.true_probability[first + k] for k in range(3)], axis=0)
    weights = true[:, None] * window.holds((runs.position_um[first + 1] + runs.position_um[first + 2]) / 2, reach=1)
    for k, value in enumerate((1.0, step**2, step * (before + after) / 2)):
        np.add.at(out[..., k], runs.track[first], weights * value)
    return out
