"""Diffusion: from tracks to diffusion coefficients with intervals, and whether the motion is Brownian."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from defocus3d import search_range, walls
from defocus3d.displacements import Links, Runs, Sums, Window, find_false_links, track_sums, unbroken_runs, where_seen
from defocus3d.heterogeneity import depth_profile, two_populations
from defocus3d.intervals import finite_json, interval, small_sample_factor, with_interval
from defocus3d.msd import (
    KURTOSIS_LAG,
    alpha_estimate,
    blur_coefficient,
    correlated_frames,
    covariance_estimate,
    kurtosis_sd,
    moments,
    msd_fit_estimate,
    msd_of_covariances,
    optimal_points,
    velocity_autocorrelation,
)
from defocus3d.verdict import judge, lacking
from defocus3d.water import stokes_einstein

LINKING = {"search_range_um": "auto", "memory_frames": 1, "min_track_frames": 5}
BROWNIAN = {"msd_lags": 8, "bootstrap": 500, "significance": 0.05, "min_displacements": 200, "wall_z_um": []}
FEWEST_LAGS = 4  # alpha needs steps up to three frames apart
LAGS = 12  # at least, of the covariances: what remembers (compressed video, confinement) shows over several frames
CHOSEN = ("points", "reach", "middle", "moves")  # by `estimates` for all tracks, and used for each replicate
FEWEST_MIDDLES = 100  # steps between two others
MOST_ERROR = 0.2  # share of localization error in the MSD, from which on displacements say more of it than of the beads
RELINKED_LOCALIZATIONS = 300_000  # enough for the sensitivity to the search range; more would only take time
RANGE_FACTORS = (0.75, 1.5)
CHUNK = 20_000_000  # bootstrap counts held in memory at a time


def expected_um2_s(acquisition: dict) -> tuple[float, float]:
    """Stokes-Einstein diffusion coefficient and its standard deviation in µm²/s, of a row of the sheet of acquisitions."""
    return stokes_einstein(
        acquisition["bead_diameter_um"],
        acquisition["temperature_c"],
        acquisition["viscosity_pa_s"],
        acquisition["temperature_sd_c"],
        acquisition["bead_diameter_cv"],
    )


@dataclass(frozen=True)
class Experiment:
    """What is known of a movie apart from its tracks.

    Attributes
    ----------
    frame_interval_s, exposure_s : float
    expected_um2_s : tuple of float
        Diffusion coefficient by Stokes-Einstein and its standard deviation.
    bounds_um : dict
        Axis to (low, high): where beads are seen. An axis that is missing has no bounds but those of the localizations.
    axes : tuple of str
        ("x", "y") for tables without z.
    bead_diameter_um, axial_scale : float
        The latter is what z has been multiplied by.
    """

    frame_interval_s: float
    exposure_s: float
    expected_um2_s: tuple[float, float]
    bounds_um: dict
    axes: tuple[str, ...] = search_range.AXES
    bead_diameter_um: float = 0.0
    axial_scale: float = 1.0

    @classmethod
    def of(cls, acquisition: dict, info: dict) -> "Experiment":
        """`Experiment` of a row of the sheet of acquisitions and what localization tells of the movie.

        `info` has shape (rows, columns), pixel_size_um, and axial_range_um [low, high].
        """
        pixel_um, (rows, columns) = info["pixel_size_um"], info["shape"]
        edges = {axis: (-0.5 * pixel_um, (n - 0.5) * pixel_um) for axis, n in (("x", columns), ("y", rows))}
        bounds_um = {**edges, "z": tuple(info["axial_range_um"])}
        known = {key: acquisition[key] for key in ("bead_diameter_um", "axial_scale")}
        return cls(acquisition["frame_interval_s"], acquisition["exposure_s"], expected_um2_s(acquisition), bounds_um, **known)

    @property
    def blur(self) -> float:
        """Motion-blur coefficient R."""
        return blur_coefficient(self.exposure_s, self.frame_interval_s)

    def window(self, localizations: pd.DataFrame) -> Window:
        """`Window` of the field and the heights, less borders in which nothing, or too little, was localized, with margins in expected steps."""
        good = localizations[localizations["flag"] == 0] if "flag" in localizations else localizations
        error = search_range.localization_sd_um(localizations, self.axes)
        step = [search_range.step_sd_um(self.expected_um2_s[0], self.frame_interval_s, sd) for sd in error]
        low, high = np.full(len(self.axes), -np.inf), np.full(len(self.axes), np.inf)
        for i, axis in enumerate(self.axes):
            if axis in self.bounds_um:
                low[i], high[i] = self.bounds_um[axis]
            if len(good) and (axis != "z" or axis not in self.bounds_um):
                seen = good[f"{axis}_um"]
                low[i], high[i] = max(low[i], seen.min()), min(high[i], seen.max())
            elif len(good):
                low[i], high[i] = where_seen(good["z_um"], low[i], high[i], step[i])
        return Window(low, high, np.asarray(step), search_range.step_sd_um(self.expected_um2_s[0], self.frame_interval_s, 0.0))


@dataclass(frozen=True)
class Measurement:
    """Tracks reduced to sums, with what turns them into estimates."""

    links: Links
    sums: Sums
    n_tracks: int
    n_steps: int
    track_frames: float
    runs: Runs
    window: Window

    @classmethod
    def of(cls, tracks: pd.DataFrame, window: Window, range_um: float, axes, lags: int, tails=None) -> "Measurement":
        """`Measurement` of a table of tracks that were linked with `range_um`. `tails`: see `find_false_links`."""
        runs = unbroken_runs(tracks, axes)
        links = find_false_links(runs, window, range_um, tails)
        n_steps = int(runs.joined(1).sum())
        sums, track_frames = track_sums(runs, links, window, lags), len(tracks) / max(runs.n_tracks, 1)
        return cls(links, sums, runs.n_tracks, n_steps, track_frames, runs, window)

    def wall_factor(self, wall_z_um, bead_diameter_um: float, axes) -> np.ndarray:
        """Expected D along each of `axes` near the walls over that in the bulk: mean over the starts of the steps used."""
        factor = np.ones(len(axes))
        if not len(wall_z_um) or "z" not in axes:
            return factor
        start = self.runs.position_um[:-1][self.runs.joined(1)]
        held = self.window.holds(start, 1)
        slowed = walls.mobility(start[:, axes.index("z")], wall_z_um, bead_diameter_um / 2, axes)
        return np.array([slowed[i][held[:, i]].mean() if held[:, i].any() else 1.0 for i in range(len(axes))])


def estimates(measurement: Measurement, experiment: Experiment, counts=None, points=None, reach=None, middle=None, moves=None) -> dict:
    """Every estimate by name, arrays with a leading axis of replicates where `counts` (replicates, n_tracks) are given.

    diffusion, error_variance, msd_fit : (..., axes); together: (...); msd : (..., axes, lags); drift : (..., axes) in µm/s;
    alpha, isotropy, kurtosis : (...); difference : (..., axes), of the MSD fit from the covariances, on the same steps. `points` of the
    MSD fit, one an axis, and `reach` of the correlations of steps, in frames: by default the best ones for these tracks. `middle`, bool
    (axes,): of which axes D is told by the middle ones of three steps (see `msd.moments`), by default where there are enough of them.
    `moves`, bool (axes,): along which displacements over `KURTOSIS_LAG` frames are those of the beads and not, by more than `MOST_ERROR`,
    localization errors.
    """
    interval, blur = experiment.frame_interval_s, experiment.blur
    weight = measurement.sums.weight.sum(axis=0)
    found = moments(measurement.sums.totals(counts), measurement.links.kept_variance)
    if reach is None:
        reach = correlated_frames(found["covariance"], weight)
    if middle is None:
        middle = measurement.sums.middle[..., 0].sum(axis=0) >= FEWEST_MIDDLES
    found["covariance"][..., :2] = np.where(np.asarray(middle)[:, None], found["middle"], found["covariance"][..., :2])
    diffusion, error_variance = covariance_estimate(found["covariance"], interval, blur, reach)
    if moves is None:
        far = min(KURTOSIS_LAG, weight.shape[-1]) - 1
        with np.errstate(invalid="ignore", divide="ignore"):
            moves = 2 * error_variance < MOST_ERROR * found["msd"][..., far]
    if points is None:
        points = [optimal_points(d, v, interval, blur, measurement.track_frames) for d, v in zip(diffusion, error_variance, strict=True)]
    rebuilt = msd_of_covariances(found["covariance"])
    fits = np.stack([msd_fit_estimate(rebuilt[..., i, :], n, interval) for i, n in enumerate(points)], axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        isotropy = diffusion[..., -1] / diffusion[..., :-1].mean(axis=-1)
    return {
        "diffusion": diffusion,
        "together": diffusion.mean(axis=-1),
        "error_variance": error_variance,
        "msd": found["msd"],
        "msd_fit": fits,
        "points": points,
        "reach": reach,
        "middle": middle,
        "drift": (found["drift"] + measurement.links.drift_um) / interval,
        "alpha": alpha_estimate(found["covariance"], weight),
        "vacf": velocity_autocorrelation(found["covariance"], weight),
        "isotropy": isotropy,
        "kurtosis": _mean_of_known(np.where(moves, found["kurtosis"], np.nan)),
        "moves": moves,
        "difference": fits - covariance_estimate(found["covariance"], interval, blur)[0],
    }


def _mean_of_known(values):
    """Mean over the last axis of what is not NaN; NaN where nothing is known."""
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(axis=-1) / np.where(known.any(axis=-1), known.sum(axis=-1), np.nan)


def bootstrap(measurement: Measurement, experiment: Experiment, found: dict, replicates: int, seed: int) -> dict:
    """`estimates` as `found`, in as many replicates of tracks drawn with replacement (Efron 1979, Ann. Stat. 7, 1).

    Tracks, not displacements, are drawn: displacements of one track share positions and the bead.
    """
    rng = np.random.default_rng(seed)
    n = measurement.n_tracks
    size = int(np.clip(CHUNK // max(n, 1), 1, replicates))
    parts = []
    for start in range(0, replicates, size):
        rows = min(size, replicates - start)
        drawn = rng.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(float)
        parts.append(estimates(measurement, experiment, counts, **{name: found[name] for name in CHOSEN}))
    widen = small_sample_factor(measurement.sums.weight[..., 0])
    pooled = {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name not in CHOSEN}
    return {name: found[name] + widen * (values - found[name]) for name, values in pooled.items()}


def range_sensitivity(tracks, localizations, experiment: Experiment, range_um: float, settings: dict, window: Window, middle=None) -> dict:
    """Diffusion coefficient in µm²/s, all axes together, by factor on the search range: 0.75, 1 and 1.5, relinked; `middle` as of `estimates`.

    At most the first 300,000 localizations are relinked, and the factor 1 is that of the same frames.
    """
    from defocus3d import linking  # not at the top: trackpy takes longer to load than many a movie to judge

    if len(localizations) > RELINKED_LOCALIZATIONS:
        last = np.partition(localizations["frame"].to_numpy(), RELINKED_LOCALIZATIONS)[RELINKED_LOCALIZATIONS]
        localizations, tracks = localizations[localizations["frame"] < last], tracks[tracks["frame"] < last]
    measured = {1.0: Measurement.of(tracks, window, range_um, experiment.axes, FEWEST_LAGS)}
    for factor in RANGE_FACTORS:
        table = linking.link_tracks(
            localizations, factor * range_um, settings["memory_frames"], settings["min_track_frames"], experiment.axes
        )
        # how true steps are spread does not depend on the range: what is spread otherwise there is false
        measured[factor] = Measurement.of(table, window, factor * range_um, experiment.axes, FEWEST_LAGS, measured[1.0].links.tails)
    return {factor: float(estimates(m, experiment, reach=1, middle=middle)["together"]) for factor, m in sorted(measured.items())}


def msd_table(found: dict, replicates: dict, measurement: Measurement, experiment: Experiment) -> pd.DataFrame:
    """MSD in µm² by lag, a row each, with 95 % bounds of each axis, the number of displacements and the expected MSD."""
    lags = found["msd"].shape[-1]
    lag_s = experiment.frame_interval_s * np.arange(1, lags + 1)
    counted = (measurement.sums.weight > 0).any(axis=0), measurement.sums.weight.sum(axis=0)
    table = {"lag_s": lag_s}
    for i, axis in enumerate(experiment.axes):
        table[f"msd_{axis}_um2"] = found["msd"][i]
    n_axes = np.where(counted[0], np.rint(counted[1]), 0).astype(np.int64)
    table["n"] = n_axes.max(axis=0)
    for i, axis in enumerate(experiment.axes):
        low, high = interval(replicates["msd"][:, i])
        table |= {f"msd_{axis}_low": low, f"msd_{axis}_high": high, f"n_{axis}": n_axes[i]}
    table["expected_um2"] = 2.0 * experiment.expected_um2_s[0] * lag_s
    table = pd.DataFrame(table)
    return table[table["n"] > 0].reset_index(drop=True)  # a lag that no track spans has nothing to say


def brownian_check(
    tracks: pd.DataFrame,
    localizations: pd.DataFrame,
    experiment: Experiment,
    linking_settings: dict | None = None,
    brownian_settings: dict | None = None,
    seed: int = 1,
) -> tuple[pd.DataFrame, dict]:
    """MSD table and results of the Brownian check, a dict that is ready for JSON.

    Parameters
    ----------
    tracks : pandas.DataFrame
        frame, particle, {axis}_um; linked from `localizations` with `linking_settings`.
    localizations : pandas.DataFrame
        frame, {axis}_um, flag and, where known, sigma_{axis}_um.
    experiment : Experiment
    linking_settings, brownian_settings : dict, optional
        As in the configuration; keys left out have their default.
    seed : int
        Of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        See `msd_table`.
    dict
        Diffusion coefficients with intervals, expectation, localization errors, tests, verdict and its reasons.
    """
    relink, settings = LINKING | (linking_settings or {}), BROWNIAN | (brownian_settings or {})
    axes, window = experiment.axes, experiment.window(localizations)
    range_um = search_range.resolve_range_um(
        relink["search_range_um"], localizations, experiment.expected_um2_s[0], experiment.frame_interval_s, axes
    )
    measurement = Measurement.of(tracks, window, range_um, axes, max(settings["msd_lags"], LAGS))
    found = estimates(measurement, experiment)
    found |= _whereabouts(measurement, found, experiment, settings["wall_z_um"])
    replicates = bootstrap(measurement, experiment, found, settings["bootstrap"], seed)
    sensitivity, verdict, reasons = {}, "insufficient", lacking(measurement, found, replicates, settings)
    if not reasons:
        sensitivity = range_sensitivity(tracks, localizations, experiment, range_um, relink, window, found["middle"])
        verdict, reasons = judge(measurement, found, replicates, sensitivity, experiment, settings, range_um)
    results = _results(measurement, found, replicates, sensitivity, experiment, judged=verdict != "insufficient")
    results |= {"search_range_um": range_um, "verdict": verdict, "reasons": reasons}
    return msd_table(found, replicates, measurement, experiment).head(settings["msd_lags"]), finite_json(results)


def _axial_stretch(found, replicates, experiment: Experiment, judged: bool) -> dict:
    """sqrt(Dz / Dxy), by which z is too long, with its interval; where tracks are `judged` and the interval leaves 1 out, the axial scale too."""
    if "z" not in experiment.axes:
        return {"value": None, "ci95": None, "proposed_axial_scale": None}
    expected = found["expected_isotropy"]
    ratio = with_interval(found["isotropy"] / expected, replicates["isotropy"] / expected)
    with np.errstate(invalid="ignore"):
        value, low, high = np.sqrt([ratio["value"], *np.maximum(ratio["ci95"], 0.0)])  # some replicates may be negative
    stretch = {"value": float(value), "ci95": [float(low), float(high)]}
    differs = judged and (low > 1 or high < 1)
    return stretch | {"proposed_axial_scale": experiment.axial_scale / stretch["value"] if differs else None}


def _whereabouts(measurement, found, experiment: Experiment, wall_z_um) -> dict:
    """What does not come from sums alone: expected slowing by walls and D, its isotropy, D by height, and two populations of beads."""
    axes, far = experiment.axes, min(KURTOSIS_LAG, measurement.sums.weight.shape[-1])
    depth = depth_profile(measurement.runs, measurement.links, measurement.window, experiment.frame_interval_s, experiment.blur, axes)
    slowed = walls.mobility(depth["z_um"].to_numpy(float), wall_z_um, experiment.bead_diameter_um / 2, axes)
    factor = measurement.wall_factor(wall_z_um, experiment.bead_diameter_um, axes)
    seen = [sums[:, found["moves"], far - 1] for sums in (measurement.sums.square, measurement.sums.weight)]
    return {
        "wall_factor": factor,
        "expected": tuple(float(factor.mean()) * number for number in experiment.expected_um2_s),
        "expected_isotropy": factor[-1] / factor[:-1].mean(),
        "depth": depth.assign(**{f"wall_factor_{axis}": slowed[i] for i, axis in enumerate(axes)}),
        "populations": two_populations(*seen, far),
        "kurtosis_sd": kurtosis_sd(seen[1].sum(), far),
    }


def _results(measurement, found, replicates, sensitivity, experiment: Experiment, judged: bool) -> dict:
    """The numbers of the Brownian check by name."""
    axes, used = experiment.axes, measurement.sums.used
    each = {axis: with_interval(found["diffusion"][i], replicates["diffusion"][:, i]) for i, axis in enumerate(axes)}
    each["".join(axes)] = with_interval(found["together"], replicates["together"])
    fits = {axis: with_interval(found["msd_fit"][i], replicates["msd_fit"][:, i]) for i, axis in enumerate(axes)}
    value, sd = found["expected"]
    vacf = [with_interval(v, replicates["vacf"][:, i]) for i, v in enumerate(found["vacf"])]
    drift = {axis: with_interval(1e3 * found["drift"][i], 1e3 * replicates["drift"][:, i]) for i, axis in enumerate(axes)}
    base = sensitivity.get(1.0, np.nan)
    changes = [abs(other / base - 1.0) for other in sensitivity.values() if base > 0 and np.isfinite(other)]
    return {
        "D_um2_s": each,
        "D_expected_um2_s": {"value": value, "sd": sd},
        "D_expected_bulk_um2_s": experiment.expected_um2_s[0],
        "D_msd_fit_um2_s": fits,
        "msd_fit_points": dict(zip(axes, found["points"], strict=True)),
        "localization_sd_um": {axis: np.sqrt(np.maximum(v, 0.0)) for axis, v in zip(axes, found["error_variance"], strict=True)},
        "correlated_frames": found["reach"],
        "alpha": with_interval(found["alpha"], replicates["alpha"]),
        "isotropy": with_interval(found["isotropy"], replicates["isotropy"]),
        "gaussianity": with_interval(found["kurtosis"], replicates["kurtosis"]),
        "search_range_sensitivity": {"value": max(changes, default=np.nan), "D_um2_s": sensitivity},
        "drift_nm_s": drift,
        "velocity_autocorrelation": vacf,
        "axial_stretch": _axial_stretch(found, replicates, experiment, judged),
        "wall_factor": dict(zip(axes, found["wall_factor"], strict=True)),
        "D_by_z": found["depth"].to_dict(orient="list"),
        "two_populations": found["populations"],
        "false_link_share": measurement.links.false_share,
        "n_tracks": measurement.n_tracks,
        "n_displacements": int(used.min()),
        "n_displacements_per_axis": dict(zip(axes, used, strict=True)),
        "share_of_displacements_used": {axis: n / max(measurement.n_steps, 1) for axis, n in zip(axes, used, strict=True)},
    }
