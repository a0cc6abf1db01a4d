"""What beads make of a frame, how likely the frame then is, and the way uphill to the most likely beads."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from defocus3d import normal_equations
from defocus3d.camera import Camera
from defocus3d.population import Population
from defocus3d.psf import PSF
from defocus3d.rendering import draw, expose

GRID_PX = 32  # distance of the nodes between which the background is interpolated linearly
LEAST_PHOTONS = 20.0
LEAST_BACKGROUND = 0.05
STEP_LIMIT_UM = np.array([0.05, 0.05, 0.15])  # of x, y, z in one step: well within the basin of the start
CONVERGED = 1e-3  # a gain in log-likelihood per bead below this ends the fit: a few percent of an uncertainty
NEARLY = 1e-2  # one that others follow
FIRST_STEPS = 8  # of such a fit
FEW, SETTLED = 12, 2.0  # of more beads, those that a step promises less than so many times that gain stay as they are in it
PARAMETERS = 5  # of a bead: x, y, z in µm, photons, and how much more than on average it was blurred by its motion
Z, PHOTONS, BLUR = range(2, PARAMETERS)  # where they are; the places come first
LOOK = [0, 1, Z, BLUR]  # those that a bead's image, at unit brightness, depends on
BLUR_SD = 0.632  # of the lateral blur of a bead, averaged over x and y, relative to its mean; see `FrameModel`
BLUR_LIMITS = -1.0, 2.5  # no blur at all, and what hardly ever happens
PROMISE, LEEWAY = 3.0, 5.0  # a climb that has to beat a cost gives up where it is above it by more than so many of its last gain, and so much
LEAST_DAMPING = 1e-6  # leaves the fit's last steps as they are


class Album:
    """Pictures of beads, each in a slot that any number of states hold: what stays as it is is neither drawn nor copied again.

    Attributes
    ----------
    pictures : float32 array (slots, `PARAMETERS`, size, size)
        The slopes of a bead's image by its parameters.
    holders : int array (slots,)
        How many states show what is in a slot; one that nobody holds is free.
    """

    def __init__(self, psf: PSF):
        size = 2 * psf.radius_px + 1
        self.pictures, self.holders = np.empty((0, PARAMETERS, size, size), np.float32), np.zeros(0, np.int64)

    def free(self, count: int) -> np.ndarray:
        """Numbers of `count` free slots."""
        missing = count - np.count_nonzero(self.holders == 0)
        if missing > 0:
            more = max(missing, len(self.holders) // 2)
            self.pictures = np.concatenate([self.pictures, np.empty((more, *self.pictures.shape[1:]), np.float32)])
            self.holders = np.concatenate([self.holders, np.zeros(more, np.int64)])
        return np.flatnonzero(self.holders == 0)[:count]


@dataclass(frozen=True, eq=False)
class State:
    """Beads (n, `PARAMETERS`), background nodes, and what they make: slopes in the `slots` (n,) of an album, expected frame, cost.

    The slopes are known where the frame shows them, and within the reach (n,) of a bead's middle pixel, but for the slope by brightness,
    which is its image and known wherever the frame shows it.
    """

    beads: np.ndarray
    nodes: np.ndarray
    album: Album
    slots: np.ndarray
    corners: np.ndarray
    reach: np.ndarray
    expected: np.ndarray
    cost: float

    def __post_init__(self):
        self.album.holders[self.slots] += 1

    def __del__(self):
        self.album.holders[self.slots] -= 1

    @property
    def pictures(self) -> tuple[np.ndarray, np.ndarray]:
        """Those of the album, and which of them are of the beads."""
        return self.album.pictures, self.slots


class FrameModel:
    """Expected photoelectrons of a frame, its derivatives, and the normal equations of the posterior.

    Pixels are Poisson with read noise as extra variance (Huang et al. 2013, Nat. Methods 10, 653): the gradient and the Fisher
    information are those of weighted squares with the weights 1 / (excess · expected + read²), renewed at each step. The brightness
    of each bead has the population's as its prior: a Gaussian without a tail, or one bead unlike the rest would be a way out in crowds.

    The PSF shows the blur that motion makes on average, but each bead goes its own way during an exposure. The variance of a Brownian
    path about its mean is the sum over k of squared Gaussians of variance ~ 1 / (k pi)² (Karhunen and Loève), so that it scatters by
    sqrt(1/45) / (1/6) = 0.89 of its mean; the average over x and y by 0.63. A bead that happened to stay is sharper, which a fit
    without this would take for another height.
    """

    def __init__(self, image_e, psf: PSF, camera: Camera, population: Population | None = None, known=None, level=False, album=None):
        """`image_e` and `known` (rows, columns): the frame, and what is known of it and not fitted, the background then included.

        `level`: of the background, a part that is linear along rows and columns is fitted nevertheless. `album`: of another model with
        this PSF, to be used together.
        """
        self.image, self.psf, self.camera, self.population = np.asarray(image_e, float), psf, camera, population
        self.known = known
        self._extra = camera.read_noise_e**2 / camera.excess_noise
        self._data = np.maximum(self.image + self._extra, 0.0).ravel()
        self.album = album or Album(psf)
        rows, columns = self.image.shape
        per_side = [max(2, int(np.ceil(n / GRID_PX)) + 1) if known is None else 2 * level for n in (rows, columns)]
        self.nodes = tuple(per_side)
        self.hats = (_hats(rows, per_side[0]), _hats(columns, per_side[1]))
        self._seen = None  # the state that was asked for last, and its `_weighted`

    def start(self, places_um, photons: float) -> State:
        """Beads at `places_um` (n, 3), all of one brightness, on an even background: a low quantile of every fourth pixel."""
        level = max(np.percentile(self.image[::2, ::2], 35), 0.5)
        return self.state(new_beads(places_um, photons), np.full(self.nodes[0] * self.nodes[1], level))

    def state(self, beads: np.ndarray, nodes: np.ndarray, like: State | None = None, numbers=None) -> State:
        """The `State` of beads and background. Beads that look as in `like`, where they have these `numbers`, are not drawn again.

        By default they have the same numbers there.
        """
        pixel, half = self.psf.pixel_size_um, self.psf.radius_px
        corners = np.rint(beads[:, 1::-1] / pixel).astype(np.int64) - half
        slots, new = np.empty(len(beads), np.int64), np.ones(len(beads), bool)
        if like is not None:
            numbers = np.arange(min(len(beads), len(like.beads))) if numbers is None else numbers
            same = np.flatnonzero((beads[: len(numbers), LOOK] == like.beads[numbers][:, LOOK]).all(axis=1))
            slots[same], corners[same], new[same] = like.slots[numbers[same]], like.corners[numbers[same]], False
        slots[new] = self.album.free(np.count_nonzero(new))
        knots, reach, blur = self.psf.knots_of(beads[:, Z])[0], self.psf.reach_px(beads[:, Z]), 0.5 * (self.psf.blur_um / pixel) ** 2
        pictures = self.album.pictures, slots
        draw(*pictures, np.flatnonzero(new), self.psf.single, beads, knots, corners, reach, pixel, blur, *self.image.shape)
        expected = self.background(nodes)
        expose(*pictures, corners, beads[:, PHOTONS], expected)
        expected = np.maximum(expected, 0.01)
        return State(beads, nodes, self.album, slots, corners, reach, expected, self.cost(beads, expected))

    def moved(self, state: State, step: np.ndarray, which=slice(None)) -> State:
        """`state` after a step of the parameters that `normal_equations` has for beads `which`, within limits."""
        beads = state.beads.copy()
        own = step[: beads[which].size].reshape(-1, PARAMETERS).copy()
        own[:, :3] = np.clip(own[:, :3], -STEP_LIMIT_UM, STEP_LIMIT_UM)
        beads[which] += own
        beads[:, Z] = np.clip(beads[:, Z], *self.psf.z_range_um)
        beads[:, PHOTONS] = np.maximum(beads[:, PHOTONS], LEAST_PHOTONS)
        beads[:, BLUR] = np.clip(beads[:, BLUR], *BLUR_LIMITS)
        return self.state(beads, np.maximum(state.nodes + step[own.size :], LEAST_BACKGROUND), like=state)

    def lit(self, state: State, step: np.ndarray) -> State:
        """`state` after a step of brightness and background, as `light_equations` has them: places, and so the images, stay."""
        beads, count = state.beads.copy(), len(state.beads)
        beads[:, PHOTONS] = np.maximum(beads[:, PHOTONS] + step[:count], LEAST_PHOTONS)
        nodes = np.maximum(state.nodes + step[count:], LEAST_BACKGROUND)
        expected = self.background(nodes)
        expose(*state.pictures, state.corners, beads[:, PHOTONS], expected)
        expected = np.maximum(expected, 0.01)
        return replace(state, beads=beads, nodes=nodes, expected=expected, cost=self.cost(beads, expected))

    def background(self, nodes: np.ndarray) -> np.ndarray:
        """Background in photoelectrons per pixel, and what else is known, shape of the image."""
        smooth = self.hats[0].T @ nodes.reshape(self.nodes) @ self.hats[1]
        return smooth if self.known is None else smooth + self.known

    def cost(self, beads, expected: np.ndarray) -> float:
        """Minus the logarithm of the posterior up to a constant."""
        mean = expected + self._extra
        cost = float((mean.sum() - self._data @ np.log(mean).ravel()) / self.camera.excess_noise)
        if self.population:
            cost += float((((beads[:, PHOTONS] - self.population.photons) / self.population.photons_sd) ** 2).sum() / 2)
        return cost + float(((beads[:, BLUR] / BLUR_SD) ** 2).sum() / 2)

    def own_image(self, state: State, bead: int):
        """Expected photoelectrons of one bead of `state`, and the rows and columns (slices) of the frame that they lie in."""
        (rows, columns), (pictures, slots) = self.image.shape, state.pictures
        size = pictures.shape[2]
        top, left = state.corners[bead]
        i_first, j_first = min(max(0, top), rows), min(max(0, left), columns)
        i = slice(i_first, max(i_first, min(rows, top + size)))
        j = slice(j_first, max(j_first, min(columns, left + size)))
        own = pictures[slots[bead], PHOTONS, i.start - top : i.stop - top, j.start - left : j.stop - left]
        return state.beads[bead, PHOTONS] * own, i, j

    def weight(self, state: State) -> np.ndarray:
        """Inverse variance of the pixels, float32."""
        return self._weighted(state)[0]

    def light_equations(self, state: State):
        """Information and gradient for the brightness of the beads, then the background's nodes: a part of the `normal_equations`."""
        weight, residual = self._weighted(state)
        information, gradient = normal_equations.assemble_light(*state.pictures, state.corners, state.reach, weight, residual, *self.hats)
        precision, pull = self._prior(state.beads)
        which = np.arange(len(state.beads))
        information[which, which] += precision[PHOTONS]
        gradient[which] += pull[:, PHOTONS]
        return information, gradient

    def normal_equations(self, state: State, which: np.ndarray | None = None):
        """Information (p, p) and gradient (p,) for the parameters of beads `which`, ascending numbers or all, then the background's nodes."""
        which = np.arange(len(state.beads)) if which is None else which
        weight, residual = self._weighted(state)
        pictures = *state.pictures, self._scales(state), state.corners, state.reach
        information, gradient = normal_equations.assemble(*pictures, which, weight, residual, *self.hats)
        precision, pull = self._prior(state.beads[which])
        own = np.arange(pull.size)
        information[own, own] += np.tile(precision, len(which))
        gradient[own] += pull.ravel()
        return information, gradient

    def own_information(self, state: State) -> np.ndarray:
        """The information of each bead on its own, (beads, `PARAMETERS`, `PARAMETERS`)."""
        information = normal_equations.own_information(*state.pictures, self._scales(state), state.corners, state.reach, self.weight(state))
        own = np.arange(PARAMETERS)
        information[:, own, own] += self._prior(state.beads)[0]
        return information

    def promises(self, state: State, information: np.ndarray) -> np.ndarray:
        """Gain in log-likelihood, (beads,), that the best step of each bead promises, the others staying; `own_information` of all."""
        _, residual = self._weighted(state)
        gradient = normal_equations.own_gradient(*state.pictures, self._scales(state), state.corners, state.reach, residual)
        gradient += self._prior(state.beads)[1]
        return (gradient * np.linalg.solve(invertible(information), gradient[..., None])[..., 0]).sum(axis=1) / 2

    def _weighted(self, state: State):
        """Weight of the pixels, and residual times weight, float32."""
        if self._seen is None or self._seen[0] is not state:
            weight = (1.0 / self.camera.variance(state.expected)).astype(np.float32)
            self._seen = state, weight, ((self.image - state.expected) * weight).astype(np.float32)
        return self._seen[1:]

    def _prior(self, beads: np.ndarray):
        """Precision (`PARAMETERS`,) of what is known of a bead beforehand, and its part of the gradient, (beads, `PARAMETERS`)."""
        precision, mean = np.zeros((2, PARAMETERS))
        precision[BLUR] = 1 / BLUR_SD**2
        if self.population:
            mean[PHOTONS], precision[PHOTONS] = self.population.photons, 1 / self.population.photons_sd**2
        return precision, precision * (mean - beads)

    def _scales(self, state: State) -> np.ndarray:
        """Derivatives by the parameters over the slopes in the album, (beads, `PARAMETERS`)."""
        photons = state.beads[:, PHOTONS, None]
        place = np.array([1 / self.psf.pixel_size_um, 1 / self.psf.pixel_size_um, 1 / self.psf.z_step_um])
        return np.concatenate([photons * place, np.ones_like(photons), photons], axis=1)


def _hats(count: int, nodes: int) -> np.ndarray:
    """Linear interpolation from `nodes` evenly spread nodes to `count` pixels, shape (nodes, count)."""
    position = np.arange(count) * (nodes - 1) / max(count - 1, 1)
    return np.maximum(0.0, 1.0 - abs(position[None, :] - np.arange(nodes)[:, None])).astype(np.float32)


def new_beads(places_um, photons) -> np.ndarray:
    """Parameters (n, `PARAMETERS`) of beads at `places_um` (n, 3), of brightness `photons` and average blur."""
    beads = np.zeros((len(places_um), PARAMETERS))
    beads[:, : PHOTONS] = places_um
    beads[:, PHOTONS] = photons
    return beads


def blocks_of_beads(matrix: np.ndarray, count: int) -> np.ndarray:
    """Diagonal blocks of `matrix`, whose rows and columns are the parameters of `count` beads, then others: (count, `PARAMETERS`, `PARAMETERS`)."""
    own = PARAMETERS * np.arange(count)[:, None] + np.arange(PARAMETERS)
    return matrix[own[:, :, None], own[:, None, :]]


def invertible(information: np.ndarray) -> np.ndarray:
    """`information` on each of beads on its own, (beads, `PARAMETERS`, `PARAMETERS`), made invertible: nothing is known of unseen ones."""
    return information * (1 + LEAST_DAMPING * np.eye(PARAMETERS)) + 1e-9 * np.eye(PARAMETERS)


def damped_solution(information: np.ndarray, right: np.ndarray, damping: float) -> np.ndarray:
    """Solution (p,) for `information` (p, p), symmetric with ones (or zeros) on its diagonal, and `damping` on top of these; see `_damped_enough`."""
    return _damped_enough(lambda more: normal_equations.solution(information, right, more), damping)


def damped_inverse(information: np.ndarray, damping: float) -> np.ndarray:
    """Inverse of `information` with `damping`; see `damped_solution`."""

    def upper_factor(more: float) -> np.ndarray:
        damped = information.copy()
        damped[np.diag_indices_from(damped)] += more
        factor, failed = dpotrf(damped.T, overwrite_a=True)
        if failed:
            raise np.linalg.LinAlgError
        return factor

    upper = np.triu(dpotri(_damped_enough(upper_factor, damping))[0])
    return upper + np.triu(upper, 1).T


def _damped_enough(solve: Callable[[float], np.ndarray], damping: float) -> np.ndarray:
    """What `solve` gives for `damping`, or for a little more.

    Two beads that came to lie at one place make the information singular, and rounding then a little worse: more is put on top until it
    is not. Raises LinAlgError where that takes more than rounding can explain.
    """
    for rounding in (0.0, 1e-5, 1e-4, 1e-3, 1e-2):
        try:
            return solve(damping + rounding)
        except np.linalg.LinAlgError:
            continue
    raise np.linalg.LinAlgError("the information is not positive definite")


def climb(model: FrameModel, state: State, move: bool, steps: int, beat: float = np.inf, enough: float = CONVERGED) -> State:
    """Levenberg-Marquardt from `state`: the best found, or the last one where a cost below `beat` seems out of reach.

    `move`: places too, else brightness and background alone. `enough`: a gain per bead below which nothing more is done. Most of
    many beads are soon where they belong, while a few have a long way: in each step, only those move that promise a gain.
    """
    count = len(state.beads)
    least = enough * max(count, 1)
    damping = 1e-3
    which, own = np.arange(count), model.own_information(state) if move and count > FEW else None
    for _ in range(steps):
        if own is not None:
            which = np.flatnonzero(model.promises(state, own) > SETTLED * enough)
        information, gradient = model.normal_equations(state, which) if move else model.light_equations(state)
        if not len(gradient):
            return state
        if own is not None:
            own[which] = blocks_of_beads(information, len(which))
        scale = np.sqrt(np.maximum(np.diag(information), 1e-12))
        information /= np.outer(scale, scale)  # so that one damping fits brightness and place alike
        for _ in range(4):
            step = damped_solution(information, gradient / scale, damping) / scale
            if step @ gradient / 2 < least:  # the gain that a parabola promises
                return state
            trial = model.moved(state, step, which) if move else model.lit(state, step)
            if trial.cost <= state.cost:
                break
            damping = max(damping, 2e-3) * 30
        else:
            return state
        gain, state = state.cost - trial.cost, trial
        damping = max(damping / 10, LEAST_DAMPING)
        if gain < least or state.cost - beat > PROMISE * gain + LEEWAY:
            break
    return state
