"""Estimates of diffusion from summed displacements: covariances, mean squared displacements, and the exponent alpha.

Every function takes arrays whose last axis is the lag and may have any leading axes (bootstrap replicates, then axes of space).
"""

import numpy as np

ALPHAS = np.linspace(0.1, 1.9, 181)
CORRELATED_SD, CORRELATED_SHARE = 4.0, 0.04  # covariances of steps below either are taken for chance
KURTOSIS_LAG = 4  # beads that differ do so at any lag; the few large errors of localization in crowds weigh a sixteenth of what they do at 1
FEWEST_PRODUCTS = 100  # of steps, from which a correlation is told
FEWEST_FIT_POINTS = 3  # with two, the fit of the MSD would only repeat the covariance-based estimate


def blur_coefficient(exposure_s: float, frame_interval_s: float) -> float:
    """Motion-blur coefficient R: exposure / (6 x frame interval) for light collected evenly over the exposure.

    Berglund 2010, Phys. Rev. E 82, 011917: R is the integral of S(1 - S) over the interval, S the share of light collected so far.
    """
    return exposure_s / (6.0 * frame_interval_s)


def moments(totals: dict, kept_variance: float) -> dict:
    """Covariances of steps, MSD, drift and excess kurtosis from the `totals` of `displacements.Sums`.

    Corrected for the true steps that the search range cuts (`kept_variance`), and for the part of the variance that
    went into the drift, which was estimated from the same steps. NaN where no path was counted.

    Returns
    -------
    dict
        covariance : (..., lags), µm², element k of steps k frames apart, element 0 their variance.
        msd : (..., lags), µm², element k over k + 1 frames.
        middle : (..., 2), as the first two of covariance, of the middle ones of three steps. Tracks end where beads are localized badly,
        at the end of the axial range. Among all squared steps are those into such places, among the products of neighbouring ones, which
        are to cancel their errors, there is none: D would come out too large, of slow beads by a multiple. A middle step and its
        products with the one before and the one after have each error as often with either sign.
        drift : (...,), µm per frame, relative to the drift already taken off.
        kurtosis : (...,), excess over the Gaussian's 3, of displacements over `KURTOSIS_LAG` frames.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = totals["product"] / totals["weight"]
        msd = totals["square"] / totals["weight"]
        n_steps = totals["weight"][..., 0]
        drift = totals["step"][..., 0] / n_steps
        far = min(KURTOSIS_LAG, covariance.shape[-1]) - 1
        kurtosis = totals["fourth"][..., far] / totals["weight"][..., far] / msd[..., far] ** 2 - 3.0
        lags = np.arange(1, covariance.shape[-1] + 1)
        neighbour = covariance[..., 1] if covariance.shape[-1] > 1 else 0.0
        into_drift = ((covariance[..., 0] + 2.0 * neighbour) / n_steps)[..., None]
        covariance = (covariance + into_drift) / np.where(lags == 1, kept_variance, kept_variance**2)
        middle = totals["middle"][..., 1:] / totals["middle"][..., :1] + into_drift
        middle = middle / [kept_variance, kept_variance**2]
        msd = msd + into_drift * lags**2 + lags * (1.0 - kept_variance) * covariance[..., :1]
    return {"covariance": covariance, "middle": middle, "msd": msd, "drift": drift, "kurtosis": kurtosis}


def correlated_frames(covariance, weight) -> int:
    """Over how many frames steps correlate: 1 where blur and localization error explain all, else as many as there are covariances.

    A covariance of steps two or more frames apart that exceeds `CORRELATED_SD` standard errors and `CORRELATED_SHARE` of a step's variance,
    all axes together, means that positions remember. How long is not known, and many small covariances add up to a large part of D:
    so all are taken.

    Parameters
    ----------
    covariance, weight : arrays, shape (axes, lags)
        As of `moments`, and the number of products behind them.
    """
    if covariance.shape[-1] < 3 or not (weight[:, 2] > 0).any():
        return 1
    seen = weight[:, 2] > 0
    variance = covariance[seen, 0]
    value, error = covariance[seen, 2].sum(), np.sqrt((variance**2 / weight[seen, 2]).sum())
    remembered = abs(value) > max(CORRELATED_SD * error, CORRELATED_SHARE * variance.sum())
    return int(np.flatnonzero((weight > 0).any(axis=0))[-1]) if remembered else 1


def covariance_estimate(covariance, frame_interval_s: float, blur: float, reach: int = 1):
    """Diffusion coefficient (µm²/s) and squared localization error (µm²), each of the shape of `covariance` less the last axis.

    Vestergaard, Blainey and Flyvbjerg 2014, Phys. Rev. E 89, 022726, eqs. 14 and 16: unbiased whatever the localization error and the
    blur, since these only move displacement from one step to the next; where errors depend on the place, of the `middle` steps of
    `moments` only. Where something (a compressed video, a camera that lags) moves it
    over `reach` frames, the sum takes in the covariances up to there (Taylor 1922, Proc. Lond. Math. Soc. s2-20, 196).
    """
    square, neighbour = covariance[..., 0], covariance[..., 1]
    moved_on = neighbour + np.nan_to_num(covariance[..., 2 : reach + 1]).sum(axis=-1)
    return (square + 2.0 * moved_on) / (2.0 * frame_interval_s), blur * square + (2.0 * blur - 1.0) * neighbour


def covariance_sd(diffusion, steps, reduced_error=0.0):
    """Standard deviation of `covariance_estimate` in µm²/s, from D, the number of steps, and sigma² / (D dt) - 2 R.

    Vestergaard, Blainey and Flyvbjerg 2014, Phys. Rev. E 89, 022726, eq. 17.
    """
    e = reduced_error
    return abs(diffusion) * np.sqrt((6 + 4 * e + 2 * e**2) / steps + 4 * (1 + e) ** 2 / steps**2)


def optimal_points(diffusion, error_variance, frame_interval_s: float, blur: float, track_frames: float) -> int:
    """Number of points of the MSD whose straight-line fit gives the most precise slope.

    Michalet and Berglund 2012, Phys. Rev. E 85, 061916, appendix B: from the reduced localization error
    x = sigma² / (D dt) - 2 R and the number of frames of a track.
    """
    if not (diffusion > 0 and np.isfinite(error_variance)):
        return FEWEST_FIT_POINTS
    reduced = max(error_variance / (diffusion * frame_interval_s) - 2.0 * blur, 0.0)
    free, bound = 2.0 + 1.35 * reduced**0.60, 0.8 + 0.564 * track_frames
    return max(int(min(bound, free * bound / (free**3 + bound**3) ** (1 / 3))), FEWEST_FIT_POINTS)


def msd_of_covariances(covariance) -> np.ndarray:
    """MSD in µm² over 1, 2, ... frames, shape of `covariance`: n C(0) + 2 sum (n - k) C(k).

    Where beads leave the range, fewer paths over many frames can be counted than steps. Built from covariances, the points of the MSD
    share the steps that they have in common, and the fit of a line keeps its precision.
    """
    lags = np.arange(covariance.shape[-1])
    share = np.maximum(lags[:, None] + 1 - lags, 0) * np.where(lags == 0, 1.0, 2.0)
    known = np.isfinite(covariance)
    return np.where(np.logical_and.accumulate(known, axis=-1), np.where(known, covariance, 0.0) @ share.T, np.nan)


def msd_fit_estimate(msd, points: int, frame_interval_s: float):
    """Diffusion coefficient in µm²/s from a straight line through the first `points` of the MSD, shape of `msd` less the last axis.

    Lags without a displacement end the line early; NaN where fewer than two are left. Localization error and blur are in
    the intercept, which is free (Michalet and Berglund 2012, Phys. Rev. E 85, 061916).
    """
    seen = np.isfinite(msd).reshape(-1, msd.shape[-1]).any(axis=0)
    points = min(points, int(np.argmin(seen)) if not seen.all() else len(seen))
    if points < 2:
        return np.full(msd.shape[:-1], np.nan)
    lag = np.arange(points) - (points - 1) / 2.0
    return msd[..., :points] @ (lag / (lag @ lag)) / (2.0 * frame_interval_s)


def independent_share(lag: int) -> float:
    """What a displacement over `lag` frames counts of an independent one, where each starts a frame after the other: 3 lag / (2 lag² + 1).

    Qian, Sheetz and Elson 1991, Biophys. J. 60, 910.
    """
    return 3 * lag / (2 * lag**2 + 1)


def kurtosis_sd(displacements: float, lag: int) -> float:
    """Standard deviation of the excess kurtosis of Gaussian displacements over `lag` frames: sqrt(24 / n) of n independent ones."""
    return float(np.sqrt(24.0 / independent_share(lag) / displacements)) if displacements > 0 else np.nan


def velocity_autocorrelation(covariance, weight) -> np.ndarray:
    """Covariances of steps 1, 2, ... frames apart over their variance, all axes together; shape of `covariance` less axes, lags one less.

    Brownian motion has 0 from the second on; the first holds localization error and blur. `weight` : (axes, lags); NaN where too few.
    """
    shares = weight[:, 1:] / np.maximum(weight[:, 1:].sum(axis=0), 1e-300)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = covariance[..., 1:] / covariance[..., :1]
    pooled = (np.where(shares > 0, ratio, 0.0) * shares).sum(axis=-2)
    return np.where(weight[:, 1:].sum(axis=0) > FEWEST_PRODUCTS, pooled, np.nan)


def alpha_estimate(covariance, weight) -> np.ndarray:
    """Exponent alpha of MSD ~ time^alpha, shape of `covariance` less its last two axes (axes of space, lags).

    Weighted least squares of the covariances of steps against those of fractional Brownian motion (Mandelbrot and Van Ness
    1968, SIAM Rev. 10, 422), MSD(n) = n C(0) + 2 sum (n - k) C(k). Covariances scatter independently of each other, which points of the MSD
    do not. Amplitude and localization error (with the blur, that looks alike) are free for each axis; alpha is common.

    Parameters
    ----------
    covariance : array, shape (..., axes, lags)
    weight : array, shape (axes, lags)
        Number of products behind each covariance; lags without any are left out.
    """
    lags = np.arange(covariance.shape[-1])
    misfit = 0.0
    for axis in range(weight.shape[0]):
        usable = weight[axis] > 0
        if usable.sum() < 4:
            continue
        precision = np.sqrt(np.where(lags == 0, 0.5, 1.0) * weight[axis] / weight[axis, 0])[usable]
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = (covariance[..., axis, :] / covariance[..., axis, :1])[..., usable] * precision
        misfit = misfit + weight[axis, 0] * _misfit(scaled, precision, lags[usable])
    if np.ndim(misfit) == 0:
        return np.full(covariance.shape[:-2], np.nan)
    return _refined_minimum(misfit)


def _misfit(scaled, precision, lags):
    """Sum of squared residuals of the best amplitude and localization error at each of `ALPHAS`, shape (..., alphas)."""
    error = np.where(lags == 0, 2.0, np.where(lags == 1, -1.0, 0.0)) * precision
    left = np.empty((len(ALPHAS), len(lags), len(lags)))
    for i, alpha in enumerate(ALPHAS):
        motion = 0.5 * ((lags + 1.0) ** alpha + np.abs(lags - 1.0) ** alpha - 2.0 * lags**alpha) * precision
        basis, _ = np.linalg.qr(np.column_stack([motion, error]))
        left[i] = np.eye(len(lags)) - basis @ basis.T
    return np.einsum("...i,aij,...j->...a", np.nan_to_num(scaled), left, np.nan_to_num(scaled), optimize=True)


def _refined_minimum(misfit):
    """Position of the minimum of `misfit` over `ALPHAS`, by a parabola through the three points around the smallest."""
    at = np.clip(misfit.argmin(axis=-1), 1, len(ALPHAS) - 2)
    left, middle, right = (np.take_along_axis(misfit, (at + d)[..., None], -1)[..., 0] for d in (-1, 0, 1))
    curvature = left - 2.0 * middle + right
    shift = np.where(curvature > 0, 0.5 * (left - right) / np.where(curvature > 0, curvature, 1.0), 0.0)
    return ALPHAS[at] + np.clip(shift, -1.0, 1.0) * (ALPHAS[1] - ALPHAS[0])
