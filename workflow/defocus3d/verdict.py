"""The verdict: is the motion Brownian, with the diffusion coefficient that physics expects, and why."""

import numpy as np
from scipy.stats import norm

from defocus3d.displacements import kept_of_variance

FEWEST_TRACKS = 10  # a bootstrap over fewer tracks tells little
# Deviations below these are of no consequence for the diffusion coefficient, however surely they are measured.
TOLERATED = {"isotropy": 0.02, "alpha": 0.05, "kurtosis": 0.2, "estimators": 0.02, "drift_steps": 0.1, "range": 0.02}
TESTS = 7  # judged together: each gets its share of the significance
FEWEST_KEPT_VARIANCE = 0.8  # less than this share of a step's variance within the search range cannot be corrected for


def judge(measurement, found, replicates, sensitivity, experiment, settings, range_um) -> tuple[str, list[str]]:
    """"consistent", "inconsistent" or "insufficient", and the reasons in plain words.

    Each deviation counts where it exceeds both its bootstrap error, at `significance` shared by all tests (Bonferroni), and a size below
    which it would not matter.
    """
    lacking = _lacking(measurement, found, settings)
    if lacking:
        return "insufficient", lacking
    z = norm.isf(settings["significance"] / (2 * TESTS))
    reasons = []
    for test in (_magnitude, _isotropy, _exponent, _shape, _drift, _estimators):
        reasons += test(found, replicates, experiment, z)
    reasons += _search_range(measurement, found, replicates, sensitivity, experiment, range_um, z)
    if reasons:
        return "inconsistent", reasons
    expected, expected_sd = experiment.expected_um2_s
    return "consistent", [
        f"D of {found['together']:.3g} ± {_sd(replicates['together']):.2g} µm²/s agrees with the expected "
        f"{expected:.3g} ± {expected_sd:.2g} µm²/s, and no sign of other motion was found"
    ]


def _sd(replicates) -> float:
    """Standard deviation of the finite replicates."""
    return float(np.std(np.asarray(replicates)[np.isfinite(replicates)]))


def _lacking(measurement, found, settings) -> list[str]:
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
    return reasons


def _magnitude(found, replicates, experiment, z) -> list[str]:
    value, (expected, expected_sd) = found["together"], experiment.expected_um2_s
    sd = _sd(replicates["together"])
    if abs(value - expected) <= z * np.hypot(sd, expected_sd):
        return []
    return [
        f"D of {value:.3g} ± {sd:.2g} µm²/s is {'above' if value > expected else 'below'} the {expected:.3g} ± {expected_sd:.2g} µm²/s "
        "expected from temperature, viscosity and bead size"
    ]


def _isotropy(found, replicates, experiment, z) -> list[str]:
    value, sd = found["isotropy"], _sd(replicates["isotropy"])
    if abs(value - 1.0) <= max(z * sd, TOLERATED["isotropy"]):
        return []
    others, last = " and ".join(experiment.axes[:-1]), experiment.axes[-1]
    hint = f"; an axial_scale {np.sqrt(1 / value):.3g} times as large would mend it" if last == "z" and value > 0 else ""
    return [f"not isotropic: D along {last} is {value:.3g} ± {sd:.2g} times that along {others}{hint}"]


def _exponent(found, replicates, experiment, z) -> list[str]:
    value, sd = found["alpha"], _sd(replicates["alpha"])
    if found["reach"] > 1:
        return [
            f"steps correlate over {found['reach']} frames, which blur and localization errors do not explain: D is taken from "
            f"displacements over that time, alpha is {value:.3g} ± {sd:.2g} (compressed video, a lagging camera, confinement, flow?)"
        ]
    if not np.isfinite(value) or abs(value - 1.0) <= max(z * sd, TOLERATED["alpha"]):
        return []
    kind = "subdiffusion or confinement" if value < 1 else "superdiffusion or flow"
    return [f"the MSD does not grow in proportion to time: alpha is {value:.3g} ± {sd:.2g} ({kind})"]


def _shape(found, replicates, experiment, z) -> list[str]:
    value, sd = found["kurtosis"], _sd(replicates["kurtosis"])
    if not np.isfinite(value) or abs(value) <= max(z * sd, TOLERATED["kurtosis"]):
        return []
    return [f"displacements are not Gaussian: excess kurtosis {value:.2g} ± {sd:.2g} (several populations of beads?)"]


def _drift(found, replicates, experiment, z) -> list[str]:
    step = np.sqrt(2.0 * experiment.frame_interval_s * np.maximum(found["diffusion"], 0.0))
    reasons = []
    for i, axis in enumerate(experiment.axes):
        value, sd = found["drift"][i], _sd(replicates["drift"][:, i])
        if abs(value) > z * sd and abs(value) * experiment.frame_interval_s > TOLERATED["drift_steps"] * step[i]:
            reasons.append(f"flow: the beads move together along {axis} at {value:.3g} ± {sd:.2g} µm/s (taken off before D was estimated)")
    return reasons


def _estimators(found, replicates, experiment, z) -> list[str]:
    axes = np.isfinite(found["difference"])
    if not axes.any():
        return []
    value, sd = float(found["difference"][axes].mean()), _sd(replicates["difference"][:, axes].mean(axis=-1))
    if not np.isfinite(value) or abs(value) <= max(z * sd, TOLERATED["estimators"] * abs(found["together"])):
        return []
    return [
        f"the two estimators disagree: the fit of the MSD gives D {'higher' if value > 0 else 'lower'} by {abs(value):.2g} ± {sd:.2g} µm²/s "
        "than the covariance of steps (localization errors that last over frames, false links, or motion that is not Brownian)"
    ]


def _search_range(measurement, found, replicates, sensitivity, experiment, range_um, z) -> list[str]:
    reasons = []
    variance = 2.0 * experiment.frame_interval_s * max(found["together"], 1e-12)
    expected = 2.0 * experiment.frame_interval_s * experiment.expected_um2_s[0]
    dimensions = len(experiment.axes)
    if kept_of_variance(range_um, np.full(dimensions, max(variance, expected))) < FEWEST_KEPT_VARIANCE:
        reasons.append(f"the search range of {range_um:.3g} µm is too small: it cuts true steps")
    base = sensitivity.get(1.0, np.nan)
    allowed = max(1.96 * _sd(replicates["together"]), TOLERATED["range"] * abs(found["together"]))
    moved = {factor: value - base for factor, value in sensitivity.items() if abs(value - base) > allowed}
    for factor, change in moved.items():
        reasons.append(f"D depends on the search range: {change:+.2g} µm²/s at {factor:g} times the range")
    return reasons
