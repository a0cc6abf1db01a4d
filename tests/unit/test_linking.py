"""Linking on simulated beads whose identity is known."""

import warnings

import numpy as np
import pandas as pd
import pytest
import walks

from defocus3d import linking, search_range, tables

SIGMA_UM = (0.015, 0.015, 0.05)
RANGE_UM = search_range.search_range_um(walks.D, walks.DT, SIGMA_UM)


def test_search_range_cuts_one_true_step_in_ten_thousand():
    rng = np.random.default_rng(1)
    step_sd = search_range.step_sd_um(walks.D, walks.DT, max(SIGMA_UM))
    for dimensions in (2, 3):
        range_um = search_range.search_range_um(walks.D, walks.DT, SIGMA_UM, dimensions)
        length = np.linalg.norm(rng.normal(0, step_sd, (1_000_000, dimensions)), axis=1)
        assert abs((length > range_um).sum() - 100) < 4 * 10  # Poisson


def test_search_range_setting():
    localizations = walks.movie(np.random.default_rng(1), 0.02, 3)
    assert search_range.resolve_range_um(0.7, localizations, walks.D, walks.DT) == 0.7
    assert search_range.resolve_range_um("auto", localizations, walks.D, walks.DT) == pytest.approx(RANGE_UM)
    assert search_range.resolve_range_um("auto", localizations[["frame", "x_um"]], walks.D, walks.DT) < RANGE_UM
    # what is flagged is not linked and widens nothing
    uncertain = localizations.assign(flag=2, sigma_z_um=1.0)
    both = pd.concat([localizations, uncertain, uncertain], ignore_index=True)
    assert search_range.resolve_range_um("auto", both, walks.D, walks.DT) == pytest.approx(RANGE_UM)


def test_sparse_beads_are_linked_as_they_moved():
    localizations = walks.movie(np.random.default_rng(2), 0.02, 100, truth=True)
    tracks = linking.link_tracks(localizations, RANGE_UM)
    same_track = np.diff(tracks["particle"]) == 0
    right = np.diff(tracks["bead"]) == 0
    by_bead = localizations.sort_values(["bead", "frame"])
    possible = (np.diff(by_bead["bead"]) == 0) & (np.diff(by_bead["frame"]) == 1)
    assert right[same_track].mean() > 0.995
    assert right[same_track].sum() > 0.99 * possible.sum()


def test_memory_bridges_one_missing_frame_and_no_more():
    path = pd.DataFrame({"frame": [0, 1, 3, 6], "x_um": 0.0, "y_um": 0.0, "z_um": 0.0, "flag": 0})
    assert linking.link_tracks(path, 1.0, memory_frames=1)["particle"].tolist() == [0, 0, 0, 1]
    assert linking.link_tracks(path, 1.0, memory_frames=0)["particle"].tolist() == [0, 0, 1, 2]


def test_short_tracks_and_flagged_rows_are_left_out():
    localizations = walks.movie(np.random.default_rng(3), 0.05, 60, spurious=0.2)
    localizations.loc[::7, "flag"] = 1
    tracks = linking.link_tracks(localizations, RANGE_UM, 1, min_track_frames=5)
    assert (tracks["flag"] == 0).all()
    assert tracks.groupby("particle").size().min() >= 5
    assert not tracks.duplicated(["particle", "frame"]).any()
    assert sorted(tracks["particle"].unique()) == list(range(tracks["particle"].nunique()))


@pytest.mark.parametrize("axes", [("x", "y", "z"), ("x", "y")])
def test_empty_tables_give_empty_tables(axes):
    empty = tables.empty(tables.LOCALIZATION_COLUMNS)
    tracks = linking.link_tracks(empty, 1.0, axes=axes)
    assert tables.conform(tracks, tables.TRACK_COLUMNS).dtypes.to_dict() == tables.empty(tables.TRACK_COLUMNS).dtypes.to_dict()
    flagged = pd.concat([empty, pd.DataFrame([dict.fromkeys(tables.LOCALIZATION_COLUMNS, 1)])])
    assert linking.link_tracks(flagged, 1.0, axes=axes).empty


def test_tables_without_z_are_linked_in_the_plane():
    localizations = walks.movie(np.random.default_rng(4), 0.01, 50, truth=True).drop(columns="z_um")
    tracks = linking.link_tracks(localizations, RANGE_UM, 0, 5, axes=("x", "y"))
    assert (np.diff(tracks["bead"])[np.diff(tracks["particle"]) == 0] == 0).mean() > 0.97


@pytest.mark.parametrize("spread_um", [3.0, 1e-3])
def test_dense_cloud_does_not_crash(spread_um):
    """2,000 beads all within reach of each other, and all at one place: no range tells them apart."""
    position = np.random.default_rng(5).uniform(0, spread_um, (6000, 3))
    localizations = pd.DataFrame(position, columns=search_range.columns()).assign(frame=np.repeat([0, 1, 2], 2000), flag=0)
    tracks = linking.link_tracks(localizations, 1.0)
    assert len(tracks) == 6000
    assert not tracks.duplicated(["particle", "frame"]).any()


def test_subnetworks_are_solved_to_the_least_sum_of_squares():
    """Three beads in a row, each shifted by more than half their distance: nearest neighbours would be wrong."""
    row = np.arange(3) * 1.0
    x_um = np.concatenate([row, row + 0.6])
    localizations = pd.DataFrame({"frame": np.repeat([0, 1], 3), "x_um": x_um, "y_um": 0.0, "z_um": 0.0, "flag": 0})
    tracks = linking.link_tracks(localizations, 1.1)
    assert np.allclose(np.diff(tracks["x_um"])[np.diff(tracks["particle"]) == 0], 0.6)


def test_order_of_rows_does_not_change_the_tracks():
    localizations = walks.movie(np.random.default_rng(6), 0.1, 40)
    shuffled = localizations.sample(frac=1, random_state=1)
    position = ["frame", *search_range.columns()]
    once, again = (linking.link_tracks(table, RANGE_UM) for table in (localizations, shuffled))
    one, other = (
        {tuple(map(tuple, rows.to_numpy())) for _, rows in tracks.groupby("particle")[position]} for tracks in (once, again)
    )
    assert one == other
    pd.testing.assert_frame_equal(once, linking.link_tracks(localizations, RANGE_UM))


@pytest.mark.parametrize("range_um", [0.0, -1.0, float("nan")])
def test_impossible_range_is_an_error(range_um):
    with pytest.raises(ValueError, match="search range"):
        linking.link_tracks(walks.movie(np.random.default_rng(1), 0.02, 3), range_um)


def test_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linking.link_tracks(walks.movie(np.random.default_rng(7), 0.05, 20), RANGE_UM)


def two_sided(rng, n_tracks=60, frames=40, step_um=0.2, flipped=0.2, odds=-1.0):
    """Tracks across focus; in a share of the frames the height is given on the wrong side, the right one as the other."""
    z = np.cumsum(rng.normal(0, step_um, (n_tracks, frames)), axis=1) + 0.3
    lateral = np.cumsum(rng.normal(0, step_um, (2, n_tracks, frames)), axis=2) + 5.0 * np.arange(n_tracks)[:, None]
    wrong = rng.random(z.shape) < flipped
    table = pd.DataFrame({"frame": np.tile(np.arange(frames), n_tracks), "particle": np.repeat(np.arange(n_tracks), frames)})
    table["x_um"], table["y_um"], table["true_z_um"] = lateral[0].ravel(), lateral[1].ravel(), z.ravel()
    sides = np.where(wrong, -z, z).ravel()
    return table.assign(z_um=sides, other_z_um=-sides, other_log_odds=odds, sigma_z_um=0.03, flag=0)


def test_sides_of_focus_that_make_no_path_are_changed():
    tracks = two_sided(np.random.default_rng(8))
    far = abs(tracks["true_z_um"]) > 0.4  # nearer, a step may truly lead across
    resolved = linking.resolve_heights(tracks)
    wrong = [(np.sign(t["z_um"]) != np.sign(t["true_z_um"]))[far].mean() for t in (tracks, resolved)]
    assert wrong[0] > 0.15 and wrong[1] < 0.02
    # chosen, never shifted
    assert (np.isclose(abs(resolved["z_um"]), abs(tracks["z_um"]))).all()
    assert np.allclose(resolved["z_um"], -resolved["other_z_um"])


def test_heights_without_another_stay():
    tracks = two_sided(np.random.default_rng(9)).assign(other_z_um=np.nan, other_log_odds=np.nan)
    pd.testing.assert_frame_equal(linking.resolve_heights(tracks), tracks)


@pytest.mark.parametrize("axial_scale", [0.8, 1.0, 1.2])
def test_choosing_sides_does_not_change_the_diffusion_coefficient(axial_scale):
    """Not even where steps along z differ from those along x and y, as with a wrong axial scale."""
    tracks = two_sided(np.random.default_rng(10), n_tracks=300, flipped=0.0, odds=-2.0)
    tracks["z_um"] *= axial_scale
    tracks["other_z_um"] = -tracks["z_um"]
    joined = np.diff(tracks["particle"]) == 0
    pairs = joined[1:] & joined[:-1]

    def covariance_estimate(table):
        step = np.diff(table["z_um"])
        return (step[joined] ** 2).mean() + 2 * (step[1:] * step[:-1])[pairs].mean()

    assert covariance_estimate(linking.resolve_heights(tracks)) == pytest.approx(covariance_estimate(tracks), rel=0.005)
