"""Refinement by likelihood: the networks propose, the likelihood of the whole frame disposes."""

from dataclasses import dataclass, replace

import numpy as np

from defocus3d.camera import Camera
from defocus3d.frame_model import (
    CONVERGED,
    GRID_PX,
    LEAST_DAMPING,
    NEARLY,
    PHOTONS,
    Album,
    FrameModel,
    State,
    Z,
    blocks_of_beads,
    climb,
    damped_inverse,
    invertible,
    new_beads,
)
from defocus3d.matched_filter import Bank, bayes_factor, heights, pairs, unexplained
from defocus3d.population import Population
from defocus3d.psf import PSF

STEPS = 12  # of a fit
FIRST_STEPS = 8  # of one that others follow
LOCAL_STEPS = 6
SOON_ENOUGH = 4e-3  # a gain in log-likelihood per bead below which the quick search ends: a tenth of an uncertainty, which adds half a percent
ROUNDS = 2  # of looking for what the fit missed
CORE_PX = 8  # the goodness of fit is judged this far around a bead
LEAST_FACTOR = 12.0  # log Bayes factor from which light without a bead is worth a trial; the odds of the fit then decide
WORTH_A_TRIAL = 60.0  # another height whose log Bayes factor is lower by less than this is fitted
OTHER_HEIGHT_UM = 0.15  # the fit itself finds what is nearer
TRIALS = 3  # of other heights, and of pairs
TOO_BRIGHT = 3.0  # standard deviations of the population above its mean: perhaps two beads
TOO_DIM = 0.5  # times the population's brightness: perhaps the middle of a ring that the background took
LEVEL = 25  # percentile of the background's nodes that counts as its level where no bead is near
HALVES_UM = 0.6  # beads closer than this along x and y are perhaps one, proposed twice
COST_OF_A_BEAD = 20.0  # in log-likelihood, of two for one: what a freely placed bead gains by chance, and by faults of the PSF
DOUBTFUL = 25.0  # in log-likelihood: another height that was less likely by less than this is tried once more
WIDE_UM = 4.0  # beads this close are then fitted anew with it
NEAR_UM = 2.0  # beads this close are fitted anew with a bead whose height is tried
CHANGED = 4.0  # squared standard errors, summed over a bead's square: what else it could be is then asked again
CLEAR_GAIN = 0.5  # in log-likelihood, for another explanation to be taken


@dataclass
class Fit:
    """Result of a frame: arrays of one entry a bead; uncertainties from the inverse information of the joint fit."""

    places_um: np.ndarray  # (beads, 3)
    photons: np.ndarray
    sigma_um: np.ndarray  # (beads, 3)
    sigma_photons: np.ndarray
    alone: np.ndarray  # (beads, 2): brightness and its uncertainty, less what the population says of it
    log_odds: np.ndarray  # of the bead being there, in the light of the population
    background_e: np.ndarray
    misfit: np.ndarray  # mean of the squared residuals over their variance, around the bead; 1 where the model holds
    source: np.ndarray  # index of the place that the fit of this bead started from, -1: found by the fit itself
    other: np.ndarray  # (beads, 2): z in µm of the next best height, and how much less likely it is, in log-likelihood; NaN: none


def fit_frame(
    image_e,
    places_um,
    psf: PSF,
    camera: Camera,
    population: Population | None = None,
    move: bool = True,
    bank: Bank | None = None,
    album: Album | None = None,
) -> Fit:
    """The most likely beads of a frame.

    Parameters
    ----------
    image_e : array (rows, columns)
        Photoelectrons.
    places_um : array (beads, 3)
        x, y, z to start from.
    population : Population, optional
        Prior of the brightness. With it, beads that were proposed twice become one.
    move : bool
        Fit the places too; else brightness and background alone; the uncertainties are still those for places that are not known, but
        those of a place leave neighbours and background out.
    bank : Bank, optional
        With it, beads may change to another height, improbable ones are dropped, and light without a bead gets one. Needs `population`.
    album : frame_model.Album, optional
        Of another frame's fit with this PSF, done by now: memory that need not be asked for again.
    """
    model = FrameModel(image_e, psf, camera, population, album=album)
    source = np.arange(len(places_um))
    state = model.start(np.asarray(places_um, float).reshape(-1, 3), population.photons if population else 100.0)
    state = climb(model, state, move=False, steps=4, enough=NEARLY if move else CONVERGED)
    other = np.full((len(state.beads), 2), np.nan)
    if move and population:
        state, source = join_halves(model, climb(model, state, move=True, steps=FIRST_STEPS, enough=NEARLY))
        other = other[source]
    if move and bank is not None:
        state, source, other = _search(model, state, source, bank)
    elif move:
        state = climb(model, state, move=True, steps=STEPS, enough=SOON_ENOUGH if population else CONVERGED)
    return _judge(model, state, source, other, (_covariances if move else _covariances_apart)(model, state))


def _search(model: FrameModel, state: State, source, bank: Bank) -> tuple[State, np.ndarray, np.ndarray]:
    """Rounds of trying other explanations, dropping improbable beads and adding missed ones; with `source` and `other` of `Fit`."""
    other, before = np.full((len(source), 2), np.nan), None
    for _ in range(ROUNDS):
        tried, other = try_others(model, state, bank, other, _changed(model, state, before))
        before, state = state, climb(model, tried, move=True, steps=4, enough=NEARLY)
        state, kept = _probable(model, state)
        missed = unexplained(model.image - state.expected, model.weight(state), bank, model.population, LEAST_FACTOR)
        source, other = _extended(source, len(kept))[kept], other[kept]
        if kept.all() and not len(missed):
            break
        beads = np.vstack([state.beads, new_beads(missed, model.population.photons)])
        source, other = _extended(source, len(beads)), np.vstack([other, np.full((len(missed), 2), np.nan)])
        state = climb(model, model.state(beads, state.nodes, like=state), move=True, steps=FIRST_STEPS, enough=NEARLY)
    state, other = try_others(model, state, bank, other, _changed(model, state, before))
    state, kept = _probable(model, climb(model, state, move=True, steps=FIRST_STEPS))
    source, other = _extended(source, len(kept))[kept], other[kept]
    if not kept.all():
        state = climb(model, state, move=True, steps=FIRST_STEPS)
    state, other = reconsider(model, state, other)
    return state, source, other


def _probable(model: FrameModel, state: State) -> tuple[State, np.ndarray]:
    """`state` with the beads that are more probable than not, and which of its beads these are, bool (beads,)."""
    kept = _odds(model, state, _covariances(model, state)) > 0
    return state if kept.all() else model.state(state.beads[kept], state.nodes, like=state, numbers=np.flatnonzero(kept)), kept


def _changed(model: FrameModel, state: State, before: State | None) -> np.ndarray:
    """Which beads lie where `state` differs from the state `before`, when other explanations were tried, bool (beads,)."""
    if before is None:
        return np.ones(len(state.beads), bool)
    squares = (state.expected - before.expected) ** 2 * model.weight(state)
    middle = state.corners + model.psf.radius_px
    around = zip(np.maximum(middle - state.reach[:, None], 0), np.maximum(middle + state.reach[:, None] + 1, 0))
    return np.array([squares[top:bottom, left:right].sum() > CHANGED for (top, left), (bottom, right) in around], bool)


def _extended(source: np.ndarray, count: int) -> np.ndarray:
    """`source` with -1 for beads that came later."""
    return np.concatenate([source, np.full(count - len(source), -1)])


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


def try_others(model: FrameModel, state: State, bank: Bank, other: np.ndarray, which: np.ndarray) -> tuple[State, np.ndarray]:
    """`state`, and `other` of `Fit`, with each of `which` beads, where that explains the frame better, at another height, or as two.

    On the two sides of focus a bead looks much alike, and a fit cannot get from one to the other: the ways between are worse. Two
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
            state = _on_a_lower_background(model, state, bead, bank)
            if state is not seen:
                continue
        others = _promising(model, state, bead, left, weight, bank)
        if others:
            state, other[bead] = _best_of(model, state, bead, others)
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


def _on_a_lower_background(model: FrameModel, state: State, bead: int, bank: Bank) -> State:
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
    others = _promising(model, low, bead, (model.image - low.expected).astype(np.float32), model.weight(low), bank)
    trial = _best_of(model, low, bead, others)[0] if others else low
    if trial is low:
        return state
    trial = climb(model, trial, move=False, steps=4, beat=state.cost, enough=NEARLY)
    return trial if trial.cost < state.cost - CLEAR_GAIN else state


def _promising(model: FrameModel, state: State, bead: int, left, weight, bank: Bank) -> list[np.ndarray]:
    """Places (n, 3) of the beads that could be there instead of `bead`, for each explanation that is worth a trial.

    `left`: the frame less what is expected of it; `weight`: its inverse variance.
    """
    own, i, j = model.own_image(state, bead)
    residual = left.copy()
    residual[i, j] += own
    x, y, z, photons = state.beads[bead, :4]
    factor, places = heights(residual, weight, (x, y), bank, model.population)
    padded = np.pad(factor, 1, constant_values=-np.inf)
    worth = max(np.interp(z, bank.z_um, factor) - WORTH_A_TRIAL, 3.0)
    promising = (padded[1:-1] >= padded[:-2]) & (padded[1:-1] >= padded[2:]) & (factor > worth)
    promising &= abs(bank.z_um - z) > OTHER_HEIGHT_UM
    tried = np.flatnonzero(promising)
    tried = tried[np.argsort(-factor[tried], kind="stable")][:TRIALS]
    others = [np.append(places[k], bank.z_um[k])[None] for k in tried]
    if photons > model.population.photons + TOO_BRIGHT * model.population.photons_sd:
        others += pairs(residual, weight, (x, y), bank, model.population, TRIALS)
    return others


def _best_of(model: FrameModel, state: State, bead: int, others: list[np.ndarray]) -> tuple[State, tuple[float, float]]:
    """`state`, or the best one with `bead` replaced by one of `others`, places (n, 3), and its neighbours adapted; `other` of `Fit`."""
    local, now, near, corner = _around(model, state, bead)
    me = int(np.flatnonzero(near == bead)[0])
    ways = [(now.cost - CLEAR_GAIN, now)]
    for places in others:
        instead = new_beads(places, model.population.photons) - corner
        beads = np.vstack([now.beads, instead[1:]])
        beads[me] = instead[0]
        more = COST_OF_A_BEAD * (len(places) - 1)
        trial = climb(local, local.state(beads, now.nodes), move=True, steps=LOCAL_STEPS, beat=now.cost - more)
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


def _covariances(model: FrameModel, state: State) -> np.ndarray:
    """Covariance of the parameters of each bead, (beads, `PARAMETERS`, `PARAMETERS`), from the information on all beads and the background."""
    return blocks_of_beads(_inverse(model.normal_equations(state)[0]), len(state.beads))


def _covariances_apart(model: FrameModel, state: State) -> np.ndarray:
    """Nearly `_covariances`, in a third of the time: a bead's brightness is known together with those of all, but its place on its own."""
    information = model.own_information(state)
    apart = np.linalg.inv(invertible(information))
    together = np.diag(_inverse(model.light_equations(state)[0]))[: len(state.beads)]
    shared = np.sqrt(np.maximum(together * information[:, PHOTONS, PHOTONS], 1.0))  # with neighbours and the background
    apart[:, PHOTONS] *= shared[:, None]
    apart[:, :, PHOTONS] *= shared[:, None]
    return apart


def _inverse(information: np.ndarray) -> np.ndarray:
    """Inverse of `information`, of parameters on any scales."""
    scale = np.sqrt(np.maximum(np.diag(information), 1e-12))
    return damped_inverse(information / np.outer(scale, scale), LEAST_DAMPING) / np.outer(scale, scale)


def _odds(model: FrameModel, state: State, covariances: np.ndarray) -> np.ndarray:
    """Logarithm of the odds that each bead is there, (beads,); 0 where nothing is known of the population.

    Bayes' factor of a bead of the population's brightness against none, times the beads expected in the volume that its uncertainty
    spans (Laplace's approximation of the integral over places).
    """
    count, population = len(state.beads), model.population
    odds = np.zeros(count)
    if population is None:
        return odds
    for k, block in enumerate(covariances):
        place, both = block[:3, :3] + 1e-12 * np.eye(3), block[:3, 3]
        precision = 1.0 / max(block[3, 3] - both @ np.linalg.solve(place, both), 1e-12)  # of the brightness, at a known place
        photons, variance = population.taken_off(state.beads[k, PHOTONS], precision)
        volume = 1.5 * np.log(2 * np.pi) + 0.5 * np.linalg.slogdet(place)[1]
        odds[k] = bayes_factor(photons, variance, population) + volume + np.log(population.density_per_um3)
    return odds


def _judge(model: FrameModel, state: State, source, other, covariances: np.ndarray) -> Fit:
    """Uncertainties, odds, background and goodness of fit at the end of a fit."""
    beads, count = state.beads, len(state.beads)
    sigma = np.sqrt(np.maximum(np.diagonal(covariances, axis1=1, axis2=2), 0))
    rows, columns = model.image.shape
    squares = (model.image - state.expected) ** 2 / model.camera.variance(state.expected)
    background = model.background(state.nodes)
    centre = np.rint(beads[:, :2] / model.psf.pixel_size_um).astype(int)
    misfit, level = np.ones(count), np.zeros(count)
    for k, (x, y) in enumerate(centre):
        window = squares[max(y - CORE_PX, 0) : y + CORE_PX + 1, max(x - CORE_PX, 0) : x + CORE_PX + 1]
        misfit[k] = window.mean() if window.size else 1.0
        level[k] = background[np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)]
    alone = np.column_stack([beads[:, PHOTONS], sigma[:, PHOTONS]])
    if model.population:
        own, variance = model.population.taken_off(beads[:, PHOTONS], 1.0 / np.maximum(sigma[:, PHOTONS] ** 2, 1e-12))
        alone = np.column_stack([own, np.sqrt(variance)])
    odds = _odds(model, state, covariances)
    return Fit(beads[:, :3], beads[:, PHOTONS], sigma[:, :3], sigma[:, PHOTONS], alone, odds, level, misfit, source, other)
