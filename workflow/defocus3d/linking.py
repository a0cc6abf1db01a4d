"""Linking: which localizations of successive frames are the same bead."""

import logging

import numba
import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from trackpy.linking import link_iter
from trackpy.linking.utils import SubnetOversizeException

from defocus3d.search_range import AXES, columns

TWO_HEIGHTS = ("z_um", "other_z_um", "sigma_z_um", "other_log_odds")  # columns of a table that tells the other height of beads
EXACT_SUBNET = 300  # beads; beyond, the search range shrinks until the subnetwork falls apart
ADAPTIVE_STEP = 0.9  # the range shrinks by this factor
LENIENCE = 2.0  # variance of steps along z that the choice of sides allows for, over the lateral one: or it would make them alike
ADAPTIVE_FLOOR = 0.1  # and not below this share of the search range


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
