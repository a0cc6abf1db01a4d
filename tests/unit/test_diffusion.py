"""Diffusion coefficients, intervals and verdicts on simulated beads of known motion."""

import json
import warnings
from dataclasses import replace

import motion_study
import numpy as np
import pandas as pd
import pytest
import walks

from defocus3d import diffusion as diffusion_module
from defocus3d import displacements, linking, msd, search_range, tables, walls
from defocus3d.diffusion import Experiment, Measurement, bootstrap, brownian_check, estimates, interval
from defocus3d.heterogeneity import chance_of_spread, depth_profile
from defocus3d.verdict import with_error
from defocus3d.water import stokes_einstein

AXES = ("x", "y", "z")
BOUNDS_UM = {"x": (0.0, walks.FIELD), "y": (0.0, walks.FIELD), "z": (-walks.HALF_RANGE, walks.HALF_RANGE)}
EXPECTED = stokes_einstein(0.5, 25.0)
EXPERIMENT = Experiment(walks.DT, walks.EXPOSURE, EXPECTED, BOUNDS_UM)
KEYS = {
    *("D_um2_s", "D_expected_um2_s", "localization_sd_um", "alpha", "isotropy", "gaussianity"),
    *("search_range_sensitivity", "n_tracks", "n_displacements", "verdict", "reasons"),
}


def true_tracks(localizations):
    """Tracks by the beads' identity instead of linking."""
    return localizations[localizations["bead"] >= 0].rename(columns={"bead": "particle"})


def checked(localizations, experiment=EXPERIMENT, linking_settings=None, brownian_settings=None):
    """MSD and results after linking as the workflow does."""
    settings = linking_settings or {"search_range_um": "auto"}
    axes = experiment.axes
    range_um = search_range.resolve_range_um(
        settings["search_range_um"], localizations, experiment.expected_um2_s[0], experiment.frame_interval_s, axes
    )
    tracks = linking.link_tracks(localizations, range_um, 1, 5, axes)
    return brownian_check(tracks, localizations, experiment, settings, brownian_settings, seed=1)


def linear(rows=6000, spread=(0.2, 0.2, 0.2), seed=1):
    """Steps of one endless track in all space."""
    rng = np.random.default_rng(seed)
    position = np.cumsum(rng.normal(0, spread, (rows, 3)), axis=0)
    return pd.DataFrame(position, columns=search_range.columns()).assign(frame=np.arange(rows), particle=0, flag=0)


def test_gaps_split_tracks_into_runs():
    table = pd.DataFrame({"particle": [1, 0, 0, 0, 1, 0], "frame": [0, 5, 1, 2, 1, 4], "x_um": [0, 9, 1, 2, 7, 4.0]})
    runs = displacements.unbroken_runs(table, ("x",))
    assert runs.position_um[:, 0].tolist() == [1, 2, 4, 9, 0, 7]
    assert runs.run.tolist() == [0, 0, 1, 1, 2, 2]
    assert runs.track.tolist() == [0, 0, 0, 0, 1, 1]


def test_msd_of_a_known_path():
    """Steps of 1, 1, then a gap, then 2: mean squares 2 (lag 1), 4 (lag 2)."""
    table = pd.DataFrame({"particle": 0, "frame": [0, 1, 2, 4, 5], "x_um": [0, 1, 2, 5, 7.0]})
    runs = displacements.unbroken_runs(table, ("x",))
    links = displacements.Links(np.diff(runs.position_um, axis=0), np.ones(4), np.zeros(1), 1.0, 0.0)
    everywhere = displacements.Window(np.array([-np.inf]), np.array([np.inf]), np.array([1.0]))
    totals = displacements.track_sums(runs, links, everywhere, 3).totals()
    assert totals["weight"].tolist() == [[3, 1, 0]]
    assert totals["square"].tolist() == [[6, 4, 0]]
    assert totals["product"].tolist() == [[6, 1, 0]]


def test_blur_coefficient_is_a_sixth_of_the_duty_cycle():
    assert msd.blur_coefficient(0.02, 0.02) == pytest.approx(1 / 6)
    assert msd.blur_coefficient(0.0, 0.02) == 0


def test_covariance_estimate_inverts_the_model():
    """Exact covariances of steps with D, localization error and blur give D and the error back."""
    diffusion, sd, blur = 0.98, 0.05, 1 / 12
    moved = 2 * diffusion * walks.DT
    covariance = np.array([moved * (1 - 2 * blur) + 2 * sd**2, moved * blur - sd**2, 0.0])
    found, variance = msd.covariance_estimate(covariance, walks.DT, blur)
    assert found == pytest.approx(diffusion)
    assert variance == pytest.approx(sd**2)


def test_alpha_of_exact_covariances():
    lags = np.arange(8.0)
    for alpha in (0.7, 1.0, 1.3):
        covariance = 0.5 * ((lags + 1) ** alpha + np.abs(lags - 1) ** alpha - 2 * lags**alpha)
        covariance[:2] += [0.4, -0.2]  # localization error
        assert msd.alpha_estimate(covariance[None], np.full((1, 8), 1000.0)) == pytest.approx(alpha, abs=2e-3)


def test_optimal_points_grow_with_localization_error():
    few, many = (msd.optimal_points(1.0, variance, 0.02, 0.0, 200) for variance in (1e-4, 1.0))
    assert few == 3
    assert many == int(2 + 1.35 * 50**0.6)  # eq. of the paper, where tracks are much longer than that


@pytest.fixture(scope="module")
def unbiased():
    """Estimates of 150 data sets of 100 frames without linking errors, over the true D, and their intervals."""
    rows, inside = [], []
    for seed in range(150):
        localizations = walks.movie(np.random.default_rng(seed), 0.12, 100, truth=True)
        measurement = Measurement.of(true_tracks(localizations), EXPERIMENT.window(localizations), 1.0, AXES, 8)
        found = estimates(measurement, EXPERIMENT)
        low, high = interval(bootstrap(measurement, EXPERIMENT, found, 200, seed)["diffusion"])
        inside.append((low <= walks.D) & (walks.D <= high))
        rows.append([*found["diffusion"] / walks.D, *found["error_variance"], found["alpha"]])
    return np.array(rows), np.array(inside)


def test_no_bias_on_any_axis_though_beads_leave_the_range(unbiased):
    rows, _ = unbiased
    error = rows[:, :3].std(axis=0) / np.sqrt(len(rows))  # about 0.4 %
    assert (np.abs(rows[:, :3].mean(axis=0) - 1) < np.maximum(0.01, 3 * error)).all()


def test_localization_errors_come_back(unbiased):
    rows, _ = unbiased
    error = rows[:, 3:6].std(axis=0) / np.sqrt(len(rows))
    assert (np.abs(rows[:, 3:6].mean(axis=0) - np.square([0.015, 0.015, 0.05])) < 4 * error).all()


def test_alpha_is_one(unbiased):
    alpha = unbiased[0][:, 6]
    assert abs(alpha.mean() - 1) < 4 * alpha.std() / np.sqrt(len(alpha))


def test_intervals_hold(unbiased):
    _, inside = unbiased
    assert inside.mean() > 0.95 - 4 * np.sqrt(0.95 * 0.05 / inside.size)


def test_choosing_by_both_ends_would_be_biased():
    """Why steps are chosen by where they start: without a margin, those that lead outward in z are missing."""
    ratios = []
    for seed in range(20):
        localizations = walks.movie(np.random.default_rng(seed), 0.12, 100, truth=True)
        window = EXPERIMENT.window(localizations)
        bare = displacements.Window(window.low_um, window.high_um, window.step_um, margin_steps=0.0)
        found = estimates(Measurement.of(true_tracks(localizations), bare, 1.0, AXES, 8), EXPERIMENT)
        ratios.append(found["isotropy"])
    assert np.mean(ratios) < 0.96


def test_false_links_do_not_enlarge_d():
    """Missing and spurious localizations in a crowd, linked over 1.5 times the usual range, against the same beads linked truly."""
    differences, plain = [], []
    for seed in range(12):
        localizations = walks.movie(np.random.default_rng(seed), 0.12, 200, missing=0.2, spurious=0.1, tails=0.1, truth=True)
        window = EXPERIMENT.window(localizations)
        range_um = 1.5 * search_range.resolve_range_um("auto", localizations, walks.D, walks.DT)
        tracks = linking.link_tracks(localizations, range_um, 1, 5)
        truth = estimates(Measurement.of(true_tracks(localizations), window, 100.0, AXES, 8), EXPERIMENT)["diffusion"]
        linked = Measurement.of(tracks, window, range_um, AXES, 8)
        differences.append(estimates(linked, EXPERIMENT)["diffusion"] / truth - 1)
        runs = displacements.unbroken_runs(tracks, AXES)
        all_true = displacements.Links(linked.links.step_um, np.ones(len(runs.track) - 1), linked.links.drift_um, 1.0, 0.0)
        sums = displacements.track_sums(runs, all_true, window, 8)
        naive = replace(linked, links=all_true, sums=sums)
        plain.append(estimates(naive, EXPERIMENT)["diffusion"] / truth - 1)
    error = np.std(differences, axis=0) / np.sqrt(len(differences))
    assert (np.abs(np.mean(differences, axis=0)) < 0.03 + 2 * error).all()
    assert np.mean(plain) > 0.05  # what false links do where they are taken for true


def test_in_a_wider_range_false_links_do_not_pose_as_long_true_steps():
    """D at 1.5 times the range over D at 1, with the tails of the true steps as they are at 1, and with new ones."""
    changes = []
    for seed in range(8):
        localizations = walks.movie(np.random.default_rng(seed), 0.12, 200, missing=0.2, spurious=0.1, tails=0.1)
        window = EXPERIMENT.window(localizations)
        range_um = search_range.resolve_range_um("auto", localizations, walks.D, walks.DT)
        base = Measurement.of(linking.link_tracks(localizations, range_um, 1, 5), window, range_um, AXES, 4)
        wide = linking.link_tracks(localizations, 1.5 * range_um, 1, 5)
        both = [Measurement.of(wide, window, 1.5 * range_um, AXES, 4, tails) for tails in (base.links.tails, None)]
        assert both[0].links.tails == base.links.tails != both[1].links.tails
        one, *others = (estimates(m, EXPERIMENT, reach=1)["together"] for m in (base, *both))
        changes.append(np.array(others) / one - 1)
    kept, new = np.sqrt(np.mean(np.square(changes), axis=0))
    assert kept < 0.012 < new


def test_cut_steps_are_corrected():
    """At 0.75 times the range, 0.8 % of true steps are cut, and with them 3 % of the variance."""
    table = linear(40_000, (0.2, 0.2, 0.2))
    range_um = 0.75 * 4.594 * 0.2
    cut = np.linalg.norm(np.diff(table[search_range.columns()], axis=0), axis=1) > range_um
    table["particle"] = np.concatenate([[0], np.cumsum(cut)])
    endless = Experiment(1.0, 0.0, (0.02, 0.001), {})
    found = estimates(Measurement.of(table, endless.window(table), range_um, AXES, 4), endless)
    assert found["diffusion"] == pytest.approx(0.02, rel=4 * np.sqrt(6 / 40_000))


@pytest.fixture(scope="module")
def free():
    return checked(walks.movie(np.random.default_rng(11), 0.12, 200))


def test_free_diffusion_is_consistent(free):
    table, results = free
    assert KEYS <= results.keys()
    assert results["verdict"] == "consistent", results["reasons"]
    for axis in ("x", "y", "z", "xyz"):
        low, high = results["D_um2_s"][axis]["ci95"]
        assert low < results["D_um2_s"][axis]["value"] < high
    assert results["D_expected_um2_s"] == {"value": EXPECTED[0], "sd": EXPECTED[1]}
    assert results["share_of_displacements_used"]["z"] == pytest.approx(0.6, abs=0.1)  # 3 µm less three steps on each side
    assert table["lag_s"].tolist() == pytest.approx([walks.DT * lag for lag in range(1, 9)])
    assert (np.diff(table["n"]) < 0).all()
    seen = table.dropna()
    assert len(seen) >= 4
    for axis in AXES:
        assert (seen[f"msd_{axis}_low"] < seen[f"msd_{axis}_um2"]).all()
        assert (seen[f"msd_{axis}_um2"] < seen[f"msd_{axis}_high"]).all()


def test_same_seed_same_answer(free):
    table, results = checked(walks.movie(np.random.default_rng(11), 0.12, 200))
    assert results == free[1]
    pd.testing.assert_frame_equal(table, free[0])


@pytest.mark.parametrize("seed", [101, 102])
@pytest.mark.parametrize("name", motion_study.CASES)
def test_verdict_is_right_and_says_why(name, seed):
    """The study of `motion_study`, where 90 % of these are to be right, in short."""
    right, results = motion_study.judged(name, seed)
    assert right, results["reasons"]


@pytest.mark.parametrize(
    ("value", "sd", "text"),
    [(1.0043, 0.0223, "1.004 ± 0.022"), (345.2, 12.3, "345 ± 12"), (0.5, 0.0996, "0.500 ± 0.100"), (1.234, np.nan, "1.23 ± nan"), (2.0, 0.0, "2 ± 0")],
)
def test_values_are_told_as_far_as_they_are_known(value, sd, text):
    assert with_error(value, sd) == text


def test_axial_scale_is_proposed():
    _, results = motion_study.judged("axial scale", 103)
    low, high = results["axial_stretch"]["ci95"]
    assert low < 1.2 < high
    assert results["axial_stretch"]["proposed_axial_scale"] == pytest.approx(1 / 1.2, abs=0.04)


def test_information_bound_is_nearly_reached():
    found = motion_study.metrology(60, linked=False, replicates=10)
    assert (found["spread"][0] < 1.2 * (1 + 3 / np.sqrt(120))).all()
    assert (np.abs(found["bias"]) < np.maximum(0.01, 4 * found["error"])).all()


def near_wall(rng, start, n_frames, diffusion):
    """Walks whose steps shrink near a wall at z = -1.1 µm, as those of a bead of 0.5 µm; reflected where they touch it."""
    position = np.empty((n_frames, *start.shape))
    position[0] = start
    for k in range(1, n_frames):
        height = np.maximum(position[k - 1, :, 2] + 1.1, 0.26)
        slowed = np.stack([walls.parallel(height, 0.25)] * 2 + [walls.perpendicular(height, 0.25)], axis=1)
        position[k] = position[k - 1] + rng.normal(0, np.sqrt(2 * diffusion * walks.DT * slowed))
        position[k, :, 2] = -0.85 + abs(position[k, :, 2] + 0.85)
    return position


def test_wall_is_seen_and_corrected_for():
    """Along the wall; across it, walks of this kind lack the drift that keeps beads evenly spread (Lau and Lubensky 2007)."""
    localizations = walks.movie(np.random.default_rng(19), 0.2, 400, walk=near_wall, truth=True)
    tracks = true_tracks(localizations)
    flat = replace(EXPERIMENT, exposure_s=0.0, bead_diameter_um=0.5)
    results = [brownian_check(tracks, localizations, flat, None, {"wall_z_um": z})[1] for z in ([], [-1.1])]
    assert any("D along x and y depends on z" in reason for reason in results[0]["reasons"])
    assert not any("D along x and y depends on z" in reason for reason in results[1]["reasons"])
    lateral, low, high = (np.mean([results[1]["D_um2_s"][a][k] if k == "value" else results[1]["D_um2_s"][a]["ci95"][k] for a in "xy"])
                          for k in ("value", 0, 1))  # fmt: skip
    assert lateral / results[1]["wall_factor"]["x"] == pytest.approx(EXPECTED[0], abs=high - low)
    assert results[1]["wall_factor"]["x"] < 0.95


def found_nearer_where_sharper(rng, beads=3000, frames=100, substeps=8):
    """Tracks of free beads whose height is found by how sharp they look, which depends on how far they happen to move in an exposure too."""
    step_um = np.sqrt(2 * EXPECTED[0] * walks.DT / substeps)
    start = rng.uniform([2, 2, -5], [BOUNDS_UM["x"][1] - 2, BOUNDS_UM["y"][1] - 2, 5], (beads, 3))
    path = start + np.cumsum(rng.normal(0, step_um, (frames * substeps, beads, 3)), axis=0)
    exposed = path.reshape(frames, substeps, beads, 3)[:, : substeps // 2]
    blur = exposed[..., :2].var(axis=1).mean(axis=-1)
    x, y, z = exposed.mean(axis=1).reshape(-1, 3).T
    z = np.sign(z) * np.maximum(abs(z) + 0.1 * (blur.ravel() / blur.mean() - 1), 0)
    frame, particle = np.divmod(np.arange(len(x)), beads)
    table = pd.DataFrame({"frame": frame, "particle": particle, "x_um": x, "y_um": y, "z_um": z})
    return table[abs(table["z_um"]) < 1.5]


def test_heights_that_depend_on_how_far_a_bead_moves_make_no_wall():
    tracks = found_nearer_where_sharper(np.random.default_rng(3))
    window = EXPERIMENT.window(tracks)
    measurement = Measurement.of(tracks, window, 1.0, EXPERIMENT.axes, 2)
    depth = depth_profile(measurement.runs, measurement.links, window, walks.DT, EXPERIMENT.blur, EXPERIMENT.axes)
    lateral, sd = depth[["D_x", "D_y"]].mean(axis=1), np.hypot(depth["sd_x"], depth["sd_y"]) / 2
    assert sd.max() < 0.02 * lateral.mean()
    assert chance_of_spread(lateral, sd) > 1e-3  # by the heights of the frames that a step joins: 1e-5


def few_beads():
    localizations = walks.movie(np.random.default_rng(16), 0.02, 200, truth=True)
    return localizations[localizations["bead"].isin(localizations["bead"].unique()[:2])]


@pytest.mark.parametrize(
    "localizations",
    [
        pytest.param(tables.empty(tables.LOCALIZATION_COLUMNS), id="none"),
        pytest.param(few_beads().head(1), id="one localization"),
        pytest.param(few_beads(), id="two beads"),
        pytest.param(walks.movie(np.random.default_rng(17), 0.12, 6), id="six frames"),
    ],
)
def test_few_tracks_are_insufficient_and_valid_json(localizations):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table, results = checked(localizations, brownian_settings={"bootstrap": 50})
    assert KEYS <= results.keys()
    assert results["verdict"] == "insufficient"
    assert results["reasons"]
    json.dumps(results, allow_nan=False)
    assert len(table) <= 8 and (table["n"] > 0).all()


def test_errors_that_depend_on_the_height_do_not_enlarge_d():
    """Slow beads: D dt is a fifth of the squared error at the ends of the range, where tracks end."""
    slow = replace(EXPERIMENT, expected_um2_s=(0.03, 0.001))
    found = []
    for seed in range(6):
        localizations = walks.seen_with(walks.errors_by_height, 0.03, seed)
        _, results = brownian_check(true_tracks(localizations), localizations, slow, None, {"bootstrap": 50})
        found.append([results["D_um2_s"][axis]["value"] / 0.03 for axis in AXES])
        assert not any("two populations" in reason or "not Gaussian" in reason for reason in results["reasons"])
    found = np.array(found)
    assert (abs(found.mean(axis=0) - 1) < 3 * found.std(axis=0, ddof=1) / np.sqrt(len(found)) + 0.02).all(), found
    everywhere = displacements.Window(np.full(3, -np.inf), np.full(3, np.inf), np.full(3, 0.1))
    of_all_steps = Measurement.of(true_tracks(localizations), everywhere, 1.0, AXES, 4)
    assert estimates(of_all_steps, slow, reach=1, middle=np.zeros(3, bool))["diffusion"][0] > 1.1 * 0.03


def test_beads_that_fade_before_they_leave_do_not_make_dz_small():
    found = []
    for seed in range(6):
        localizations = walks.seen_with(lambda z: np.full((*np.shape(z), 3), 0.01), walks.D, seed, 400)
        kept = np.random.default_rng(seed).random(len(localizations)) < np.interp(abs(localizations["z_um"]), [0.7, 1.4], [1.0, 0.1])
        localizations = localizations[kept].reset_index(drop=True)
        window = EXPERIMENT.window(localizations)
        assert -1.4 < window.low_um[2] < -0.9 and 0.9 < window.high_um[2] < 1.4
        whole = replace(window, low_um=np.append(window.low_um[:2], -walks.HALF_RANGE), high_um=np.append(window.high_um[:2], walks.HALF_RANGE))
        measured = [Measurement.of(true_tracks(localizations), one, 1.0, AXES, 4) for one in (window, whole)]
        found.append([estimates(one, EXPERIMENT, reach=1)["diffusion"][2] / walks.D for one in measured])
    within, in_all = np.mean(found, axis=0)
    assert abs(within - 1) < 0.06 and in_all < within - 0.03


def test_one_track_tells_no_interval_and_proposes_nothing():
    localizations = linear(300).drop(columns="particle").assign(bead=0)
    table, results = brownian_check(true_tracks(localizations), localizations, replace(EXPERIMENT, bounds_um={}))
    assert results["verdict"] == "insufficient"
    assert all(entry["ci95"] == [None, None] for entry in results["D_um2_s"].values())
    assert results["axial_stretch"]["proposed_axial_scale"] is None
    assert table[[f"msd_{axis}_{end}" for axis in AXES for end in ("low", "high")]].isna().all(axis=None)


def test_an_interval_of_the_axial_stretch_counts_negative_replicates():
    found = {"isotropy": np.array(1.5), "expected_isotropy": 1.0}
    replicates = {"isotropy": np.linspace(-1.0, 4.0, 501)}
    stretch = diffusion_module._axial_stretch(found, replicates, EXPERIMENT, judged=True)
    assert stretch["ci95"][0] == 0.0 and stretch["proposed_axial_scale"] is None


def test_motion_that_errors_hide_is_not_judged():
    slow = replace(EXPERIMENT, expected_um2_s=(0.0005, 0.00002))
    localizations = walks.seen_with(lambda z: np.full((*np.shape(z), 3), 0.08), 0.0005, 1, 60)
    _, results = brownian_check(true_tracks(localizations), localizations, slow, None, {"bootstrap": 50})
    assert results["verdict"] == "insufficient" and "localization errors hide the motion" in results["reasons"][0]


def test_frames_that_repeat_are_told():
    moving = true_tracks(walks.seen_with(walks.errors_by_height, walks.D, 3))
    copies = moving[moving["frame"] % 4 != 3]
    again = copies[copies["frame"] % 4 == 2].assign(frame=lambda table: table["frame"] + 1)
    table = pd.concat([copies, again]).sort_values(["particle", "frame"], ignore_index=True)
    _, results = brownian_check(table, table, EXPERIMENT, None, {"bootstrap": 50})
    assert "frames are copies of those before" in results["reasons"][0]
    still = moving.assign(**moving.groupby("particle")[search_range.columns()].transform("first"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, results = brownian_check(still, still, EXPERIMENT, None, {"bootstrap": 50})
    assert results["verdict"] == "insufficient" and "do not move at all" in results["reasons"][0]
    json.dumps(results, allow_nan=False)


def test_tables_without_z_go_through():
    plane = Experiment(walks.DT, walks.EXPOSURE, EXPECTED, {axis: BOUNDS_UM[axis] for axis in "xy"}, axes=("x", "y"))
    localizations = walks.movie(np.random.default_rng(18), 0.02, 300).drop(columns=["z_um", "sigma_z_um"])
    table, results = checked(localizations, plane)
    assert "msd_z_um2" not in table
    assert results["D_um2_s"].keys() == {"x", "y", "xy"}
    low, high = results["D_um2_s"]["xy"]["ci95"]
    assert results["D_um2_s"]["xy"]["value"] == pytest.approx(walks.D, abs=2 * (high - low))
