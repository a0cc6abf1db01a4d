"""The verdict: is the motion Brownian, with the diffusion coefficient that physics expects, and why."""

import numpy as np
from scipy.special import chdtrc, chdtri, ndtr, ndtri

from defocus3d.displacements import kept_of_variance
from defocus3d.heterogeneity import chance_of_spread

FEWEST_TRACKS = 10  # a bootstrap over fewer tracks tells little
# Deviations below these are of no consequence for the diffusion coefficient, however surely they are measured.
TOLERATED = {
    "isotropy": 0.02, "alpha": 0.05, "kurtosis": 0.2, "estimators": 0.02, "drift_steps": 0.1, "range": 0.02, "vacf": 0.05, "depth": 0.1,
    "populations": 1.5,
}  # fmt: skip
RESOLVED = 0.3  # largest error of D, as a share of it or of what is expected, for a verdict
MOST_REPEATED, MOST_FALSE = 0.01, 0.2  # shares of the steps
TESTS = 10  # judged together: each gets its share of the significance
FEWEST_KEPT_VARIANCE = 0.8  # less than this share of a step's variance within the search range cannot be corrected for


def judge(measurement, found, replicates, sensitivity, experiment, settings, range_um) -> tuple[str, list[str]]:
    """"consistent" or "inconsistent", and the reasons in plain words, of tracks to which nothing is `lacking`.

    Each deviation counts where it exceeds both its bootstrap error, at `significance` shared by all tests (Bonferroni), and a size below
    which it would not matter.
    """
    z = -ndtri(settings["significance"] / (2 * TESTS))
    reasons, cut = _search_range(measurement, found, replicates, sensitivity, experiment, range_um, z)
    if cut:  # what is left of the steps says nothing of the motion
        return "inconsistent", reasons
    reasons = _links(measurement) + reasons
    for test in (_drift, _memory, _exponent, _populations, _isotropy, _estimators, _magnitude):
        reasons += test(found, replicates, experiment, z)
    if reasons:
        return "inconsistent", reasons
    expected, expected_sd = found["expected"]
    return "consistent", [
        f"D of {with_error(found['together'], _sd(replicates['together']))} µm²/s agrees with the expected "
        f"{with_error(expected, expected_sd)} µm²/s, and no sign of other motion was found"
    ]


def _sd(replicates) -> float:
    """Standard deviation of the finite replicates; NaN without any."""
    finite = np.asarray(replicates)[np.isfinite(replicates)]
    return float(np.std(finite)) if finite.size else np.nan


def _within_error(found, replicates, what: str) -> float:
    """A change of D that is no larger than its 95 % error, or than is tolerated of `what`."""
    return max(1.96 * _sd(replicates["together"]), TOLERATED[what] * abs(found["together"]))


def with_error(value: float, sd: float) -> str:
    """`value ± sd`, both to the place of the second digit of `sd` (BIPM, JCGM 100:2008, 7.2.6)."""
    if not (np.isfinite(sd) and sd > 0):
        return f"{value:.3g} ± {sd:.2g}"
    most = 5 - int(np.floor(np.log10(max(abs(value), 1e-300))))  # no more than six digits of the value
    places = max(0, min(1 - int(np.floor(np.log10(sd))), most))
    return f"{value:.{places}f} ± {sd:.{places}f}"


def lacking(measurement, found, replicates, settings) -> list[str]:
    """Reasons why the tracks do not allow a verdict."""
    used = int(measurement.sums.used.min())
    if measurement.n_tracks == 0:
        return ["no tracks: no bead was localized in enough frames"]
    reasons = []
    if measurement.n_tracks < FEWEST_TRACKS:
        reasons.append(f"only {measurement.n_tracks} tracks, at least {FEWEST_TRACKS} are needed")
    if used < settings["min_displacements"]:
        reasons.append(
            f"only {used} displacements start far enough from the edges of what is seen "
            f"(of {measurement.n_steps}), at least {settings['min_displacements']} are needed"
        )
    if not reasons and not np.all(np.isfinite(found["diffusion"])):
        reasons.append("tracks are too short for a diffusion coefficient")
    if not reasons and not (found["msd"][:, 0] > 0).all():
        reasons.append("the beads do not move at all: is it one image again and again?")
    if not reasons:
        value, sd, expected = found["together"], _sd(replicates["together"]), found["expected"][0]
        if sd > RESOLVED * max(value, expected):
            reasons.append(
                f"localization errors hide the motion: D of {with_error(value, sd)} µm²/s where {expected:.2g} µm²/s is expected; "
                "take a longer frame interval, or more frames"
            )
    return reasons


def _links(measurement) -> list[str]:
    """Frames that repeat, and links that look false: steps then say little of how beads move."""
    reasons, repeated, false = [], measurement.links.repeated_share, measurement.links.false_share
    if repeated > MOST_REPEATED:
        reasons.append(f"in {100 * repeated:.2g} % of the steps a bead is exactly where it was: frames are copies of those before; leave them out")
    if false > MOST_FALSE:
        reasons.append(f"{100 * false:.2g} % of the steps look like false links: beads too crowded for how far they move, or stuck beads among free ones")
    return reasons


def _magnitude(found, replicates, experiment, z) -> list[str]:
    value, sd, (expected, expected_sd) = found["together"], _sd(replicates["together"]), found["expected"]
    if abs(value - expected) <= z * np.hypot(sd, expected_sd):
        return []
    return [
        f"D of {with_error(value, sd)} µm²/s is {'above' if value > expected else 'below'} the {with_error(expected, expected_sd)} µm²/s "
        "expected from temperature, viscosity and bead size"
    ]


def _isotropy(found, replicates, experiment, z) -> list[str]:
    expected = found["expected_isotropy"]
    value, sd = found["isotropy"] / expected, _sd(replicates["isotropy"]) / expected
    if not abs(value - 1.0) > max(z * sd, TOLERATED["isotropy"]):
        return []
    others, last = " and ".join(experiment.axes[:-1]), experiment.axes[-1]
    hint = f"; axial_scale: {experiment.axial_scale / np.sqrt(value):.3g} would mend it" if last == "z" and value > 0 else ""
    return [f"not isotropic: D along {last} is {with_error(value, sd)} times what D along {others} makes expect{hint}"]


def _memory(found, replicates, experiment, z) -> list[str]:
    """Steps that correlate beyond their neighbours (velocity autocorrelation)."""
    values = found["vacf"][1:]
    sds = np.array([_sd(column) for column in replicates["vacf"][:, 1:].T])
    known = np.isfinite(values) & (sds > 0)
    if not known.any():
        return []
    chance = chdtrc(known.sum(), ((values[known] / sds[known]) ** 2).sum())
    at = int(np.argmax(np.where(known, abs(values), 0.0)))
    small = abs(values[0]) < TOLERATED["vacf"] and found["reach"] == 1
    if small or chance > 2 * ndtr(-z):
        return []
    text = f"steps correlate beyond their neighbours, by {with_error(values[at], sds[at])} at {at + 2} frames: "
    if values[at] > 0:
        return [text + "positions lag behind the beads (compressed video, a camera that lags) or beads swim; D is that of longer times"]
    return [text + "beads are drawn back (confinement, subdiffusion), or localization errors last over frames; D is that of longer times"]


def _exponent(found, replicates, experiment, z) -> list[str]:
    value, sd = found["alpha"], _sd(replicates["alpha"])
    if not np.isfinite(value) or abs(value - 1.0) <= max(z * sd, TOLERATED["alpha"]):
        return []
    kind = "subdiffusion or confinement" if value < 1 else "superdiffusion, flow, or positions that lag behind"
    return [f"the MSD does not grow in proportion to time: alpha is {with_error(value, sd)} ({kind})"]


def _populations(found, replicates, experiment, z) -> list[str]:
    """Beads that differ, or else displacements that are not Gaussian or depend on the height, both of which would follow from it."""
    two = found["populations"]
    low, high = two["relative"]
    if not two["log_likelihood_ratio"] > chdtri(2, 2 * ndtr(-z)) or high < TOLERATED["populations"] * low:
        return _shape(found, replicates, experiment, z) + _depth(found, replicates, experiment, z)
    return [
        f"two populations of beads explain the tracks better than one (log likelihood ratio {two['log_likelihood_ratio']:.3g}): "
        f"a share of {two['share']:.2g} of the tracks moves {low:.2g} times as far in square as all do, the rest {high:.2g} times"
    ]


def _depth(found, replicates, experiment, z) -> list[str]:
    """D along x and y that depends on the height, apart from what the walls of the configuration explain.

    Not D along z: near focus, where a bin holds heights from both sides of it, that says more of the localization than of the beads.
    """
    depth = found["depth"]
    if len(depth) == 0:
        return []
    group = [axis for axis in experiment.axes if axis != "z"]
    values = np.mean([depth[f"D_{a}"] / depth[f"wall_factor_{a}"] for a in group], axis=0)
    sd = np.sqrt(np.sum([(depth[f"sd_{a}"] / depth[f"wall_factor_{a}"]) ** 2 for a in group], axis=0)) / len(group)
    if chance_of_spread(values, sd) > 2 * ndtr(-z) or np.ptp(values) < TOLERATED["depth"] * values.mean():
        return []
    least, most = (f"{with_error(values[k], sd[k])} µm²/s at {depth['z_um'][k]:.2g} µm" for k in (np.argmin(values), np.argmax(values)))
    return [f"D along {' and '.join(group)} depends on z: {least}, {most} (a wall? then set brownian.wall_z_um)"]


def _shape(found, replicates, experiment, z) -> list[str]:
    # replicates of few displacements scatter less the lower the value: at least as a Gaussian's does
    value, sd = found["kurtosis"], np.fmax(_sd(replicates["kurtosis"]), found["kurtosis_sd"])
    if not np.isfinite(value) or abs(value) <= max(z * sd, TOLERATED["kurtosis"]):
        return []
    why = "several populations of beads?" if value > 0 else "beads that are drawn back, or long steps that are missing?"
    return [f"displacements are not Gaussian: excess kurtosis {with_error(value, sd)} ({why})"]


def _drift(found, replicates, experiment, z) -> list[str]:
    step = np.sqrt(2.0 * experiment.frame_interval_s * np.maximum(found["diffusion"], 0.0))
    reasons = []
    for i, axis in enumerate(experiment.axes):
        value, sd = found["drift"][i], _sd(replicates["drift"][:, i])
        if abs(value) > z * sd and abs(value) * experiment.frame_interval_s > TOLERATED["drift_steps"] * step[i]:
            speed = f"{with_error(1e3 * value, 1e3 * sd)} nm/s"
            reasons.append(f"flow: the beads move together along {axis} at {speed} (taken off before D was estimated)")
    return reasons


def _estimators(found, replicates, experiment, z) -> list[str]:
    axes = np.isfinite(found["difference"])
    if not axes.any() or found["reach"] > 1:
        return []
    value, sd = float(found["difference"][axes].mean()), _sd(replicates["difference"][:, axes].mean(axis=-1))
    # a difference that is smaller than the error of D changes nothing of what D says, however surely it is there
    if not np.isfinite(value) or abs(value) <= max(z * sd, _within_error(found, replicates, "estimators")):
        return []
    return [
        f"the two estimators disagree: the fit of the MSD gives D {'higher' if value > 0 else 'lower'} by {with_error(abs(value), sd)} µm²/s "
        "than the covariance of steps (localization errors that last over frames, false links, or motion that is not Brownian)"
    ]


def _search_range(measurement, found, replicates, sensitivity, experiment, range_um, z) -> tuple[list[str], bool]:
    """Reasons, and whether the range is so small that no estimate is worth anything."""
    reasons, cut = [], False
    variance = 2.0 * experiment.frame_interval_s * max(found["together"], 1e-12)
    expected = 2.0 * experiment.frame_interval_s * experiment.expected_um2_s[0]
    dimensions = len(experiment.axes)
    if kept_of_variance(range_um, np.full(dimensions, max(variance, expected))) < FEWEST_KEPT_VARIANCE:
        cut = True
        reasons.append(f"the search range of {range_um:.3g} µm is too small: it cuts true steps")
    base = sensitivity.get(1.0, np.nan)
    allowed = _within_error(found, replicates, "range")
    moved = {factor: value - base for factor, value in sensitivity.items() if abs(value - base) > allowed}
    for factor, change in moved.items():
        reasons.append(f"D depends on the search range: {change:+.2g} µm²/s at {factor:g} times the range")
    return reasons, cut
