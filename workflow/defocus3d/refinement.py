"""Refinement by likelihood: the networks propose, the likelihood of the whole frame disposes."""

from dataclasses import dataclass

import numpy as np

from defocus3d.alternatives import QUICK, join_halves, odd, reconsider, try_alike, try_others
from defocus3d.camera import Camera
from defocus3d.frame_model import (
    CONVERGED,
    FIRST_STEPS,
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
from defocus3d.matched_filter import OTHER_HEIGHT_UM, Bank, bayes_factor, unexplained
from defocus3d.population import Population
from defocus3d.psf import PSF

STEPS = 12  # of a fit
SOON_ENOUGH = 4e-3  # a gain in log-likelihood per bead below which the quick search ends: a tenth of an uncertainty, which adds half a percent
ROUNDS = 2  # of looking for what the fit missed
CORE_PX = 8  # the goodness of fit is judged this far around a bead
LEAST_FACTOR = 12.0  # log Bayes factor from which light without a bead is worth a trial; the odds of the fit then decide
CLEAR_FACTOR = 50.0  # the same in the quick search, which drops none: with 12 it takes a tenth longer, for half a percent more of the beads
ODD, VERY_ODD = 1.0, 3.0  # in standard deviations: a brightness for which the quick search asks for another height, before and after missed beads
CHANGED = 4.0  # squared standard errors, summed over a bead's square: what else it could be is then asked again


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
    thorough: bool = True,
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
        With it, beads may change to another height, and light without a bead gets one. Needs `population`.
    thorough : bool
        With the bank, ask for every other explanation, more than once, and drop improbable beads; else look once at what promises most.
    album : frame_model.Album, optional
        Of another frame's fit with this PSF, done by now: memory that need not be asked for again.
    """
    model = FrameModel(image_e, psf, camera, population, album=album)
    source = np.arange(len(places_um))
    state = model.start(np.asarray(places_um, float).reshape(-1, 3), population.photons if population else 100.0)
    state = climb(model, state, move=False, steps=4, enough=NEARLY if move else CONVERGED)
    if move and population:
        state, source = join_halves(model, climb(model, state, move=True, steps=FIRST_STEPS, enough=NEARLY))
    other = np.full((len(source), 2), np.nan)
    if move and bank is not None:
        state, source, other = (_search if thorough else _look_once)(model, state, source, other, bank)
    elif move:
        state = climb(model, state, move=True, steps=STEPS, enough=CONVERGED)
    return _judge(model, state, source, other, (_covariances if move else _covariances_apart)(model, state))


def _look_once(model: FrameModel, state: State, source, other, bank: Bank) -> tuple[State, np.ndarray, np.ndarray]:
    """The quick search: another height where a bead's brightness is odd, on a lower background where it is too dim; missed beads; then,
    all beads being known, the counterparts beyond focus of those that are still odd. With `source` and `other` of `Fit`.
    """
    state, other = try_others(model, state, bank, other, odd(model, state, ODD, untold=True), QUICK)
    state, source, other = _with_missed(model, state, _missed(model, state, bank, CLEAR_FACTOR), source, other)
    state = climb(model, state, move=True, steps=STEPS, enough=SOON_ENOUGH)
    state, other = try_alike(model, state, bank, other, odd(model, state, VERY_ODD, untold=False))
    other[abs(state.beads[:, Z] - other[:, 0]) < OTHER_HEIGHT_UM] = np.nan  # the fit, as it went on, got there by itself
    return state, source, other


def _search(model: FrameModel, state: State, source, other, bank: Bank) -> tuple[State, np.ndarray, np.ndarray]:
    """Rounds of trying other explanations, dropping improbable beads and adding missed ones; with `source` and `other` of `Fit`."""
    before = None
    for _ in range(ROUNDS):
        tried, other = try_others(model, state, bank, other, _changed(model, state, before))
        before, state = state, climb(model, tried, move=True, steps=4, enough=NEARLY)
        state, kept = _probable(model, state)
        missed = _missed(model, state, bank, LEAST_FACTOR)
        source, other = _extended(source, len(kept))[kept], other[kept]
        if kept.all() and not len(missed):
            break
        state, source, other = _with_missed(model, state, missed, source, other)
        state = climb(model, state, move=True, steps=FIRST_STEPS, enough=NEARLY)
    state, other = try_others(model, state, bank, other, _changed(model, state, before))
    state, kept = _probable(model, climb(model, state, move=True, steps=FIRST_STEPS))
    source, other = _extended(source, len(kept))[kept], other[kept]
    if not kept.all():
        state = climb(model, state, move=True, steps=FIRST_STEPS)
    state, other = reconsider(model, state, other)
    return state, source, other


def _missed(model: FrameModel, state: State, bank: Bank, least_factor: float) -> np.ndarray:
    """Places (n, 3) of beads that would explain light without one, of at least that log Bayes factor."""
    return unexplained(model.image - state.expected, model.weight(state), bank, model.population, least_factor)


def _with_missed(model: FrameModel, state: State, missed: np.ndarray, source, other) -> tuple[State, np.ndarray, np.ndarray]:
    """`state`, with beads at the places `missed` (n, 3) too; with `source` and `other` of `Fit`."""
    beads = np.vstack([state.beads, new_beads(missed, model.population.photons)])
    return model.state(beads, state.nodes, like=state), _extended(source, len(beads)), np.vstack([other, np.full((len(missed), 2), np.nan)])


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
