"""Linking: which localizations of successive frames are the same bead."""

import logging

import numba
import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.special import chdtri
from trackpy.linking import link_iter
from trackpy.linking.utils import SubnetOversizeException

AXES = ("x", "y", "z")
TWO_HEIGHTS = ("z_um", "other_z_um", "sigma_z_um", "other_log_odds")  # columns of a table that tells the other height of beads
CUT_PROBABILITY = 1e-4  # chance that a true step is longer than the search range
EXACT_SUBNET = 300  # beads; beyond, the search range shrinks until the subnetwork falls apart
ADAPTIVE_STEP = 0.9  # the range shrinks by this factor
LENIENCE = 2.0  # variance of steps along z that the choice of sides allows for, over the lateral one: or it would make them alike
ADAPTIVE_FLOOR = 0.1  # and not below this share of the search range


def columns(axes=AXES) -> list[str]:
    """Names of the position columns of `axes`."""
    return [f"{axis}_um" for axis in axes]


def step_sd_um(expected_um2_s: float, frame_interval_s: float, localization_sd_um: float = 0.0) -> float:
    """Standard deviation in µm of the displacement along one axis between two frames.

    Free diffusion plus the localization errors of both ends; motion blur, which makes steps slightly shorter, is left out.
    """
    return float(np.sqrt(2.0 * expected_um2_s * frame_interval_s + 2.0 * localization_sd_um**2))


def search_range_um(expected_um2_s, frame_interval_s, localization_sd_um=0.0, dimensions: int = 3) -> float:
    """Search range in µm that cuts a true step with a chance below 1e-4.

    A step's length over its standard deviation along one axis follows the chi distribution with as many degrees of freedom as
    dimensions; the largest of the axes' localization errors, if several are given, is taken for all.
    """
    worst_um = float(np.max(localization_sd_um))
    return float(np.sqrt(chdtri(dimensions, CUT_PROBABILITY))) * step_sd_um(expected_um2_s, frame_interval_s, worst_um)


def localization_sd_um(localizations: pd.DataFrame, axes=AXES) -> np.ndarray:
    """Median of the uncertainty columns along `axes`, in µm, of what is linked (`flag` 0); 0 where there is no column or finite value."""
    if "flag" in localizations:
        localizations = localizations[localizations["flag"] == 0]
    spread = np.zeros(len(axes))
    for i, axis in enumerate(axes):
        name = f"sigma_{axis}_um"
        if name in localizations:
            sigma = localizations[name].to_numpy(float)
            sigma = sigma[np.isfinite(sigma)]
            spread[i] = np.median(sigma) if sigma.size else 0.0
    return spread


def resolve_range_um(setting, localizations, expected_um2_s, frame_interval_s, axes=AXES) -> float:
    """The search range in µm of the setting `search_range_um`: a number, or "auto" for `search_range_um` of the expected step."""
    if setting != "auto":
        return float(setting)
    return search_range_um(expected_um2_s, frame_interval_s, localization_sd_um(localizations, axes), len(axes))


def _greedy(sources, search_range):
    """Nearest pairs first: for points so crowded that no search range tells them apart."""
    pairs = sorted(
        ((distance, source.uuid, dest.uuid, source, dest) for source in sources for dest, distance in source.forward_cands),
        key=lambda pair: pair[:3],
    )
    partner, taken = {}, set()
    for distance, _, _, source, dest in pairs:
        if distance <= search_range and source not in partner and dest not in taken:
            partner[source] = dest
            taken.add(dest)
    return partner


def _optimal(sources, dests, search_range):
    """Pairs with the least sum of squared distances, where a bead left without partner costs the squared search range."""
    column = {dest: i for i, dest in enumerate(dests)}
    forbidden = 1e6 * (1.0 + len(sources)) * search_range**2
    cost = np.full((len(sources), len(dests) + len(sources)), forbidden)
    for row, source in enumerate(sources):
        cost[row, len(dests) + row] = search_range**2
        for dest, distance in source.forward_cands:
            cost[row, column[dest]] = distance**2
    rows, chosen = linear_sum_assignment(cost)
    return {sources[row]: dests[i] for row, i in zip(rows, chosen, strict=True) if i < len(dests)}


def link_subnet(source_set, dest_set, search_range, max_size=None, floor_um=0.0):
    """Matched lists of sources and destinations of one subnetwork; None stands for no partner.

    Solves the problem of Crocker and Grier 1996, J. Colloid Interface Sci. 179, 298 by linear assignment, so that time grows as a
    power of the number of beads. Raises SubnetOversizeException above `EXACT_SUBNET` beads, upon which trackpy tries again with
    a smaller range; at `floor_um` it links the nearest pairs first and never raises. `max_size` is trackpy's and not used.
    """
    sources = sorted(source_set, key=lambda point: point.uuid)
    dests = sorted(dest_set, key=lambda point: point.uuid)
    if len(sources) <= 1 and len(dests) == 1:
        return sources or [None], dests
    if not dests:
        return sources, [None] * len(sources)
    if len(sources) <= EXACT_SUBNET:
        partner = _optimal(sources, dests, search_range)
    elif search_range > floor_um:
        raise SubnetOversizeException(f"{len(sources)} beads within reach of each other")
    else:
        partner = _greedy(sources, search_range)
    claimed = set(partner.values())
    newborn = [dest for dest in dests if dest not in claimed]
    return sources + [None] * len(newborn), [partner.get(source) for source in sources] + newborn


def _particles(table: pd.DataFrame, axes, range_um: float, memory_frames: int) -> np.ndarray:
    """Particle numbers of the rows of `table`, which is sorted by frame; a particle's number follows its first row."""
    floor_um = ADAPTIVE_FLOOR * range_um

    def strategy(source_set, dest_set, search_range, max_size=None):
        return link_subnet(source_set, dest_set, search_range, max_size, floor_um)

    logging.getLogger("trackpy").setLevel(logging.WARNING)  # it tells of every frame otherwise
    frame, position = table["frame"].to_numpy(), table[columns(axes)].to_numpy(float)
    frames = np.arange(frame[0], frame[-1] + 1)  # empty ones too: memory is counted in frames
    positions = np.split(position, np.searchsorted(frame, frames[1:]))
    linked = link_iter(
        zip(frames, positions, strict=True),
        range_um,
        memory=memory_frames,
        adaptive_stop=floor_um,
        adaptive_step=ADAPTIVE_STEP,
        link_strategy=strategy,
    )
    return pd.factorize(np.concatenate([ids for _, ids in linked]))[0]


def link_tracks(
    localizations: pd.DataFrame,
    range_um: float,
    memory_frames: int = 1,
    min_track_frames: int = 1,
    axes=AXES,
) -> pd.DataFrame:
    """The localizations that belong to tracks, with a column `particle`, sorted by particle and frame.

    Parameters
    ----------
    localizations : pandas.DataFrame
        With columns frame and {axis}_um; rows whose `flag` is not 0 are left out.
    range_um : float
        The longest step that is looked for; shrunk locally where beads are too crowded for it.
    memory_frames : int
        A bead may be missing for this many frames.
    min_track_frames : int
        Tracks with fewer localizations are left out.
    axes : tuple of str
        ("x", "y") for tables without z.

    Raises
    ------
    ValueError
        Where `range_um` is not a positive number.
    """
    if not (np.isfinite(range_um) and range_um > 0):
        raise ValueError(f"the search range must be a positive number of µm, not {range_um}")
    good = localizations[localizations["flag"] == 0] if "flag" in localizations else localizations
    good = good[np.isfinite(good[columns(axes)]).all(axis=1)]
    good = good.sort_values("frame", kind="stable").reset_index(drop=True)
    if good.empty:
        return good.assign(particle=np.empty(0, np.int64))
    good["particle"] = _particles(good, axes, range_um, memory_frames).astype(np.int64)
    frames = good.groupby("particle")["frame"].transform("size")
    kept = good[frames >= min_track_frames].sort_values(["particle", "frame"], kind="stable").reset_index(drop=True)
    kept["particle"] = pd.factorize(kept["particle"])[0].astype(np.int64)
    return resolve_heights(kept) if "z" in axes and set(TWO_HEIGHTS) <= set(kept) else kept


def resolve_heights(tracks: pd.DataFrame) -> pd.DataFrame:
    """`tracks` (sorted by particle and frame) with, of the two heights that explain a bead, those that fit together along a track.

    Near focus a single image of a dim bead may be explained on either side. Along a track the sides must make a path: the most likely
    sequence (Viterbi 1967, IEEE Trans. Inf. Theory 13, 260) of `z_um` or `other_z_um`, the latter with `other_log_odds`, where z
    moves by about as much as x and y do in these tracks, and the uncertainties add. A height is chosen, never shifted: D along z follows
    from the data. Where the other height is taken, the two change places.
    """
    joined = (np.diff(tracks["particle"]) == 0) & (np.diff(tracks["frame"]) == 1)
    if not joined.any():
        return tracks
    lateral = np.concatenate([np.diff(tracks[name])[joined] for name in ("x_um", "y_um")])
    variance = LENIENCE * (1.4826 * np.median(abs(lateral))) ** 2
    z, other, sigma, odds = (tracks[name].to_numpy(float) for name in TWO_HEIGHTS)
    taken = _best_sides(tracks["particle"].to_numpy(), tracks["frame"].to_numpy(), z, np.where(np.isnan(other), z, other),
                        np.nan_to_num(sigma), np.where(np.isnan(other), -np.inf, odds), variance)  # fmt: skip
    out = tracks.copy()
    out["z_um"], out["other_z_um"] = np.where(taken, other, z), np.where(taken, z, other)
    out["other_log_odds"] = np.where(taken, -odds, odds)
    return out


@numba.njit(cache=True)
def _best_sides(particle, frame, z, other, sigma, odds, variance):
    """Whether the most likely path takes the other height, bool (n,); rows sorted by particle and frame."""
    n = len(z)
    score, came_from = np.zeros((n, 2)), np.zeros((n, 2), np.int64)
    taken = np.zeros(n, np.bool_)
    for k in range(n):
        first = k == 0 or particle[k] != particle[k - 1]
        for s in range(2):
            here = other[k] if s else z[k]
            own = odds[k] if s else 0.0
            if first:
                score[k, s] = own
                continue
            spread = max(variance * (frame[k] - frame[k - 1]) + sigma[k] ** 2 + sigma[k - 1] ** 2, 1e-12)
            best, best_from = -np.inf, 0
            for r in range(2):
                before = other[k - 1] if r else z[k - 1]
                way = score[k - 1, r] - 0.5 * (here - before) ** 2 / spread
                if way > best:
                    best, best_from = way, r
            score[k, s], came_from[k, s] = best + own, best_from
    for k in range(n - 1, -1, -1):
        if k == n - 1 or particle[k + 1] != particle[k]:
            taken[k] = score[k, 1] > score[k, 0]
        else:
            taken[k] = came_from[k + 1, 1 if taken[k + 1] else 0] == 1
    return taken
