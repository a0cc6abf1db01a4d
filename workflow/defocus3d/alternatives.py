"""What else the beads of a fit could be: at another height, two in place of one, one in place of two."""

from dataclasses import dataclass, replace

import numpy as np

from defocus3d.frame_model import FIRST_STEPS, GRID_PX, NEARLY, PHOTONS, FrameModel, State, Z, climb, invertible, new_beads
from defocus3d.matched_filter import OTHER_HEIGHT_UM, Bank, heights, pairs

LOCAL_STEPS = 6  # of a fit of what is around a bead, all else being known
TOO_BRIGHT = 3.0  # standard deviations of the population above its mean: perhaps two beads
TOO_DIM = 0.5  # times the population's brightness: perhaps the middle of a ring that the background took
MIDDLE_PX, MISFIT = 5, 1.4  # around a bead, and the mean squared residual over its variance there that is too large for chance
UNTOLD = 0.5  # variance of a brightness, over the population's, from which the light does not tell it
LEVEL = 25  # percentile of the background's nodes that counts as its level where no bead is near
HALVES_UM = 0.6  # beads closer than this along x and y are perhaps one, proposed twice
COST_OF_A_BEAD = 20.0  # in log-likelihood, of two for one: what a freely placed bead gains by chance, and by faults of the PSF
DOUBTFUL = 25.0  # in log-likelihood: another height that was less likely by less than this is tried once more
WIDE_UM = 4.0  # beads this close are then fitted anew with it
NEAR_UM = 2.0  # beads this close are fitted anew with a bead whose height is tried
CLEAR_GAIN = 0.5  # in log-likelihood, for another explanation to be taken


@dataclass(frozen=True)
class Effort:
    """What a look for something else that a bead could be may cost.

    Attributes
    ----------
    worth : float
        Another height whose log Bayes factor is lower by less than this is fitted.
    trials : int
        Fits of other heights of a bead, the most promising first, and of pairs.
    steps : int
        Of such a fit.
    shifts_px : tuple
        Of a bead's place, along x and y, that are held against the frame together with another height.
    two_for_one : bool
        Ask also whether a bright bead is two.
    """

    worth: float
    trials: int
    steps: int
    shifts_px: tuple[int, ...]
    two_for_one: bool


THOROUGH = Effort(worth=60.0, trials=3, steps=LOCAL_STEPS, shifts_px=(-2, 0, 2), two_for_one=True)
# of beads that are odd; this, and what looks alike, take a seventh of the time of a frame's fit
QUICK = Effort(worth=12.0, trials=1, steps=4, shifts_px=(0,), two_for_one=False)


def odd(model: FrameModel, state: State, sds: float, untold: bool) -> np.ndarray:
    """Which beads are perhaps at another height, bool (beads,): too bright or too dim, by more than `sds` standard deviations, or unlike the data.

    On the wrong side of focus nearly all beads are too bright or too dim, or, where the PSF differs much between the sides, do not fit.
    `untold`: the answer in dim light, where a fit leans on the population, and where nothing is known of it.
    """
    if not (model.population.is_known and len(state.beads)):
        return np.full(len(state.beads), untold)
    variance = np.linalg.inv(invertible(model.own_information(state)))[:, PHOTONS, PHOTONS]
    prior = model.population.photons_sd**2
    spread = np.sqrt(np.maximum(prior - variance, 0.0))  # of fits, that would be photons_sd if the light told all
    strange = abs(state.beads[:, PHOTONS] - model.population.photons) > sds * spread
    squares = np.pad((model.image - state.expected) ** 2 * model.weight(state), MIDDLE_PX)
    rows, columns = np.clip(np.rint(state.beads[:, 1::-1] / model.psf.pixel_size_um).astype(int), 0, np.array(model.image.shape) - 1).T
    side = np.arange(2 * MIDDLE_PX + 1)
    misfit = squares[rows[:, None, None] + side[:, None], columns[:, None, None] + side].mean(axis=(1, 2))
    return strange | (misfit > MISFIT) | (untold & (variance > UNTOLD * prior))


def join_halves(model: FrameModel, state: State) -> tuple[State, np.ndarray]:
    """`state` with one bead in place of any two that are close and together no brighter than one; and the numbers of the beads kept.

    Of a bead that was proposed twice, each of the two has a part of the light, and a fit does not find from there to one bead.
    """
    kept = np.arange(len(state.beads))
    if not model.population.is_known:  # then nobody knows what one bead's light is
        return state, kept
    x, y, photons = state.beads[:, [0, 1, PHOTONS]].T
    close = np.hypot(x[:, None] - x, y[:, None] - y) < HALVES_UM
    dim = photons[:, None] + photons < model.population.photons + TOO_BRIGHT * model.population.photons_sd
    for pair in np.argwhere(np.triu(close & dim, 1)):
        if np.isin(pair, kept).all():
            one, two = np.searchsorted(kept, pair)
            joined = _joined(model, state, one, two)
            if joined is not None:
                state, kept = joined, np.delete(kept, two)
    return state, kept


def _joined(model: FrameModel, state: State, one: int, two: int) -> State | None:
    """`state` without bead `two`, its light given to bead `one`, where that explains the frame as well; else None."""
    local, now, near, corner = _around(model, state, one)
    if two not in near:
        return None
    first, second = (int(np.flatnonzero(near == bead)[0]) for bead in (one, two))
    trials = []
    for place in (first, second):
        beads = now.beads.copy()
        beads[first] = now.beads[place]
        beads[first, PHOTONS] = now.beads[[first, second], PHOTONS].sum()
        trials.append(climb(local, local.state(np.delete(beads, second, axis=0), now.nodes), move=True, steps=LOCAL_STEPS))
    best = min(trials, key=lambda trial: trial.cost)
    if best.cost > now.cost + COST_OF_A_BEAD:
        return None
    beads = state.beads.copy()
    beads[np.delete(near, second)] = best.beads + corner
    return model.state(np.delete(beads, two, axis=0), state.nodes)


def try_others(
    model: FrameModel, state: State, bank: Bank, other: np.ndarray, which: np.ndarray, effort: Effort = THOROUGH
) -> tuple[State, np.ndarray]:
    """`state`, and `other` of `Fit`, with each of `which` beads, where that explains the frame better, at another height, or as two.

    `effort` says how much is tried, and whether two are. On the two sides of focus a bead looks much alike, and a fit cannot get from one to the other: the ways between are worse. Two
    beads nearly in line pose as one, too bright. Each promising explanation is therefore fitted on its own, in the square around the
    bead, and taken where the frame becomes more likely. What is known of `other` beads, (beads, 2), is kept.
    """
    other, seen = other.copy(), None
    for bead in np.flatnonzero(which):
        other[bead] = np.nan
        if model.own_image(state, bead)[0].size == 0:
            continue
        if seen is not state:  # most beads stay as they are
            seen, left, weight = state, (model.image - state.expected).astype(np.float32), model.weight(state)
        if model.population.is_known and state.beads[bead, PHOTONS] < TOO_DIM * model.population.photons:
            state = _on_a_lower_background(model, state, bead, bank, effort)
            if state is not seen:
                continue
        others = _promising(model, state, bead, left, weight, bank, effort)
        if others:
            state, other[bead] = _best_of(model, state, bead, others, effort.steps)
    return state, np.vstack([other, np.full((len(state.beads) - len(other), 2), np.nan)])


def reconsider(model: FrameModel, state: State, other: np.ndarray) -> tuple[State, np.ndarray]:
    """`state`, and `other` of `Fit`, with each bead at its other height where the frame is more likely so.

    When heights were tried, other beads were still missing or elsewhere, and only what is next to a bead could give way. Those for
    which it was close are tried again, with all beads within `WIDE_UM` and the background, and the whole frame judges.
    """
    other = other.copy()
    doubtful = np.flatnonzero(other[:, 1] < DOUBTFUL)
    for bead in doubtful[np.argsort(other[doubtful, 1], kind="stable")]:
        if model.own_image(state, bead)[0].size == 0:
            continue
        local, now, near, corner = _around(model, state, bead, WIDE_UM, level=True)
        now = climb(local, now, move=True, steps=LOCAL_STEPS)
        beads = now.beads.copy()
        beads[near == bead, Z:] = other[bead, 0], model.population.photons, 0.0
        trial = climb(local, local.state(beads, now.nodes), move=True, steps=LOCAL_STEPS, beat=now.cost)
        z = trial.beads[near == bead, Z].item()
        if abs(z - state.beads[bead, Z]) < OTHER_HEIGHT_UM:  # it slid back
            other[bead] = np.nan
            continue
        other[bead] = z, trial.cost - now.cost
        if trial.cost < now.cost:
            beads = state.beads.copy()
            beads[near] = trial.beads + corner
            trial = climb(model, model.state(beads, state.nodes, like=state), move=True, steps=FIRST_STEPS, beat=state.cost)
            if trial.cost < state.cost - CLEAR_GAIN:
                other[bead] = state.beads[bead, Z], state.cost - trial.cost
                state = trial
            else:
                other[bead, 1] = max(trial.cost - state.cost, 0.0)
    return state, other


def try_alike(model: FrameModel, state: State, bank: Bank, other: np.ndarray, which: np.ndarray) -> tuple[State, np.ndarray]:
    """`state`, and `other` of `Fit`, with each of `which` beads at a height at which it looks alike, where the frame is more likely so.

    Matched filters, which lie on whole pixels, do not promise a height at which a bead is sharp; so its counterparts beyond focus are fitted
    from where the bead is. To be asked when all beads are known and fitted: before, the light of others misleads.
    """
    other, (low, high) = other.copy(), model.psf.axial_range_um or model.psf.z_range_um
    for bead in np.flatnonzero(which & (state.beads[:, Z] > low) & (state.beads[:, Z] < high)):  # nobody asks for those beyond
        counterparts = bank.alike[np.argmin(abs(bank.z_um - state.beads[bead, Z]))]
        if not len(counterparts) or model.own_image(state, bead)[0].size == 0:
            continue
        places = [np.append(state.beads[bead, :2], z)[None] for z in counterparts]
        before = state
        state, tried = _best_of(model, state, bead, places, LOCAL_STEPS)
        if state is not before or not other[bead, 1] <= tried[1]:
            other[bead] = tried
    return state, other


def _on_a_lower_background(model: FrameModel, state: State, bead: int, bank: Bank, effort: Effort) -> State:
    """`state`, or a better one, in which `bead` is something else and the background around it is lower.

    The background can take the ring of a bead that is taken for its middle; then no other height is promising. The level that it is
    lowered to, as far as the light of `bead` could reach, is a low one of the frame; the whole frame then judges.
    """
    row, column = state.beads[bead, 1::-1] / model.psf.pixel_size_um
    far = model.psf.radius_px + GRID_PX
    rows, columns = (abs(np.linspace(0, n - 1, count) - at) < far for n, count, at in zip(model.image.shape, model.nodes, (row, column)))
    around = np.outer(rows, columns).ravel()
    nodes = np.where(around, np.minimum(state.nodes, np.percentile(state.nodes, LEVEL)), state.nodes)
    if np.array_equal(nodes, state.nodes):
        return state
    low = model.lit(state, np.concatenate([np.zeros(len(state.beads)), nodes - state.nodes]))
    others = _promising(model, low, bead, (model.image - low.expected).astype(np.float32), model.weight(low), bank, effort)
    trial = _best_of(model, low, bead, others, effort.steps)[0] if others else low
    if trial is low:
        return state
    trial = climb(model, trial, move=False, steps=4, beat=state.cost, enough=NEARLY)
    return trial if trial.cost < state.cost - CLEAR_GAIN else state


def _promising(model: FrameModel, state: State, bead: int, residual, weight, bank: Bank, effort: Effort) -> list[np.ndarray]:
    """Places (n, 3) of the beads that could be there instead of `bead`, for each explanation that is worth a trial.

    `residual`: the frame less what is expected of it, which is as it was in the end; `weight`: its inverse variance.
    """
    own, i, j = model.own_image(state, bead)
    x, y, z, photons = state.beads[bead, :4]
    before = residual[i, j].copy()
    residual[i, j] += own  # the bead is taken out of what is expected; a copy of the whole frame for each bead would cost more than this
    factor, places = heights(residual, weight, (x, y), bank, model.population, effort.shifts_px)
    padded = np.pad(factor, 1, constant_values=-np.inf)
    worth = max(np.interp(z, bank.z_um, factor) - effort.worth, 3.0)
    promising = (padded[1:-1] >= padded[:-2]) & (padded[1:-1] >= padded[2:]) & (factor > worth)
    promising &= abs(bank.z_um - z) > OTHER_HEIGHT_UM
    tried = np.flatnonzero(promising)
    tried = tried[np.argsort(-factor[tried], kind="stable")][: effort.trials]
    others = [np.append(places[k], bank.z_um[k])[None] for k in tried]
    if effort.two_for_one and photons > model.population.photons + TOO_BRIGHT * model.population.photons_sd:
        others += pairs(residual, weight, (x, y), bank, model.population, effort.trials)
    residual[i, j] = before
    return others


def _best_of(model: FrameModel, state: State, bead: int, others: list[np.ndarray], steps: int) -> tuple[State, tuple[float, float]]:
    """`state`, or the best one with `bead` replaced by one of `others`, places (n, 3), and its neighbours adapted; `other` of `Fit`.

    `steps`: of the fit of each.
    """
    local, now, near, corner = _around(model, state, bead)
    me = int(np.flatnonzero(near == bead)[0])
    ways = [(now.cost - CLEAR_GAIN, now)]
    for places in others:
        instead = new_beads(places, model.population.photons) - corner
        beads = np.vstack([now.beads, instead[1:]])
        beads[me] = instead[0]
        more = COST_OF_A_BEAD * (len(places) - 1)
        trial = climb(local, local.state(beads, now.nodes), move=True, steps=steps, beat=now.cost - more)
        ways.append((trial.cost + more, trial))
    cost, best = min(ways, key=lambda way: way[0])
    heights_left = [(c - cost, way.beads[me, Z]) for c, way in ways if abs(way.beads[me, Z] - best.beads[me, Z]) > OTHER_HEIGHT_UM]
    worse, z = min(heights_left, default=(np.nan, np.nan))
    if best is now:
        return state, (z, worse)
    beads, fitted = state.beads.copy(), best.beads + corner
    beads[near] = fitted[: len(near)]
    return model.state(np.vstack([beads, fitted[len(near) :]]), state.nodes, like=state), (z, worse)


def _around(model: FrameModel, state: State, bead: int, near_um=NEAR_UM, level=False) -> tuple[FrameModel, State, np.ndarray, np.ndarray]:
    """Model of the square around `bead`, all else being known; the state in it of the beads near, their numbers, and its corner.

    Beads of the model are the frame's less the corner, a row of parameters. `level`: the background's is fitted too.
    """
    pixel, half = model.psf.pixel_size_um, model.psf.radius_px
    x, y = state.beads[bead, :2]
    near = np.flatnonzero(np.hypot(state.beads[:, 0] - x, state.beads[:, 1] - y) < near_um)
    known = state.expected.copy()
    for neighbour in near:
        own, i, j = model.own_image(state, neighbour)
        known[i, j] -= own
    top, left = max(0, int(y / pixel) - half), max(0, int(x / pixel) - half)
    window = slice(top, int(y / pixel) + half + 1), slice(left, int(x / pixel) + half + 1)
    known, nodes = known[window], np.empty(0)
    if level:
        nodes = np.full(4, known.min() / 2)
        known = known - nodes[0]
    known = np.maximum(known, 0.01)
    local = FrameModel(model.image[window], model.psf, model.camera, model.population, known=known, level=level, album=model.album)
    corner = new_beads([[left * pixel, top * pixel, 0.0]], 0.0)
    seen_from_there = replace(state, beads=state.beads - corner, corners=state.corners - (top, left))
    return local, local.state(seen_from_there.beads[near], nodes, like=seen_from_there, numbers=near), near, corner
