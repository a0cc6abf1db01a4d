"""Refinement by likelihood: all beads of a frame fitted at once with the measured PSF, from the networks' answer on."""

from dataclasses import dataclass

import numba
import numpy as np

from defocus3d.camera import Camera
from defocus3d.psf import PSF, gradients, render

GRID_PX = 32  # distance of the nodes between which the background is interpolated linearly
STEPS = 12
CORE_PX = 8  # the goodness of fit is judged this far around a bead
LEAST_PHOTONS = 20.0
STEP_LIMIT_UM = np.array([0.05, 0.05, 0.15])  # of x, y, z in one step: well within the basin that the networks found
CONVERGED = 1e-3  # a gain in log-likelihood per bead below this ends the fit: a few percent of an uncertainty
LEAST_DAMPING = 1e-6  # keeps two beads that came to lie at one place from making the equations singular


@dataclass
class Fit:
    """Result of a frame: arrays of one entry a bead; uncertainties from the inverse Fisher information of the joint fit."""

    x_um: np.ndarray
    y_um: np.ndarray
    z_um: np.ndarray
    photons: np.ndarray
    sigma_um: np.ndarray  # (beads, 3)
    sigma_photons: np.ndarray
    background_e: np.ndarray
    misfit: np.ndarray  # mean of the squared residuals over their variance, around the bead; 1 where the model holds


class FrameModel:
    """Expected photoelectrons of a frame, its derivatives, and the normal equations of the likelihood.

    Pixels are Poisson with read noise as extra variance (Huang et al. 2013, Nat. Methods 10, 653): the gradient and the Fisher
    information are those of weighted squares with the weights 1 / (excess · expected + read²), renewed at each step.
    """

    def __init__(self, image_e: np.ndarray, psf: PSF, camera: Camera):
        self.image, self.psf, self.camera = np.asarray(image_e, float), psf, camera
        rows, columns = self.image.shape
        self.nodes = (max(2, int(np.ceil(rows / GRID_PX)) + 1), max(2, int(np.ceil(columns / GRID_PX)) + 1))
        self.hats = (_hats(rows, self.nodes[0]), _hats(columns, self.nodes[1]))

    def start_background(self) -> np.ndarray:
        """A first guess of the background's nodes: low quantiles of the image around them."""
        level = np.percentile(self.image, 35)
        return np.full(self.nodes[0] * self.nodes[1], max(level, 0.5))

    def background(self, nodes: np.ndarray) -> np.ndarray:
        """Background in photoelectrons per pixel, shape of the image."""
        return self.hats[0].T @ nodes.reshape(self.nodes) @ self.hats[1]

    def expected(self, beads: np.ndarray, nodes: np.ndarray) -> np.ndarray:
        """Expected photoelectrons of `beads` (n, 4: x, y, z in µm, photons) on the background, at least a hundredth."""
        model = self.background(nodes)
        pixel = self.psf.pixel_size_um
        knots, magnification = self.psf.knots_of(beads[:, 2])
        render(model, self.psf.coefficients, beads[:, 0] / pixel, beads[:, 1] / pixel, knots, magnification, beads[:, 3])
        return np.maximum(model, 0.01)

    def deviance(self, expected: np.ndarray) -> float:
        """Minus the log-likelihood up to a constant."""
        extra = self.camera.read_noise_e**2 / self.camera.excess_noise
        mean, data = expected + extra, np.maximum(self.image + extra, 0.0)
        return float((mean - data * np.log(mean)).sum() / self.camera.excess_noise)

    def normal_equations(self, beads: np.ndarray, nodes: np.ndarray, expected: np.ndarray):
        """Fisher information (p, p) and gradient (p,) for the 4 n parameters of the beads, then the background's nodes."""
        weight = 1.0 / self.camera.variance(expected)
        residual = (self.image - expected) * weight
        pixel, size = self.psf.pixel_size_um, 2 * self.psf.radius_px + 1
        corners = np.rint(beads[:, 1::-1] / pixel).astype(np.int64) - self.psf.radius_px
        knots = self.psf.knots_of(beads[:, 2])[0]
        scale = np.array([1 / pixel, 1 / pixel, 1 / self.psf.z_step_um])
        return _assemble(self.psf.coefficients, beads, knots, corners, size, pixel, scale, weight, residual, *self.hats)


def _hats(count: int, nodes: int) -> np.ndarray:
    """Linear interpolation from `nodes` evenly spread nodes to `count` pixels, shape (nodes, count)."""
    position = np.arange(count) * (nodes - 1) / max(count - 1, 1)
    return np.maximum(0.0, 1.0 - abs(position[None, :] - np.arange(nodes)[:, None]))


def fit_frame(image_e, places_um, psf: PSF, camera: Camera, move: bool = True) -> Fit:
    """The most likely places and brightnesses of all beads of a frame.

    Parameters
    ----------
    image_e : array (rows, columns)
        Photoelectrons.
    places_um : array (beads, 3)
        x, y, z to start from.
    move : bool
        Fit the places too (Levenberg-Marquardt); else brightness and background alone, and the uncertainties are for known places.
    """
    model = FrameModel(image_e, psf, camera)
    beads = np.column_stack([places_um, np.full(len(places_um), 100.0)]).astype(float)
    beads, nodes, expected = _climb(model, beads, model.start_background(), move=False, steps=4)
    if move and len(beads):
        beads, nodes, expected = _climb(model, beads, nodes, move=True, steps=STEPS)
    return _judge(model, beads, nodes, expected)


def _climb(model: FrameModel, beads, nodes, move: bool, steps: int):
    """Levenberg-Marquardt from `beads` and `nodes`: the best found, with its expected image."""
    count = len(beads)
    free = np.ones(4 * count + len(nodes), bool)
    if not move:
        free[: 4 * count] = np.arange(4 * count) % 4 == 3
    low, high = model.psf.z_range_um
    damping = 1e-3
    expected = model.expected(beads, nodes)
    cost = model.deviance(expected)
    for _ in range(steps):
        information, gradient = model.normal_equations(beads, nodes, expected)
        information, gradient = information[np.ix_(free, free)], gradient[free]
        scale = np.sqrt(np.maximum(np.diag(information), 1e-12))
        information /= np.outer(scale, scale)  # so that one damping fits brightness and place alike
        for _ in range(4):
            step = np.zeros(len(free))
            step[free] = np.linalg.solve(information + damping * np.eye(len(scale)), gradient / scale) / scale
            moved = step[: 4 * count].reshape(count, 4)
            moved[:, :3] = np.clip(moved[:, :3], -STEP_LIMIT_UM, STEP_LIMIT_UM)
            trial = beads + moved
            trial[:, 2] = np.clip(trial[:, 2], low, high)
            trial[:, 3] = np.maximum(trial[:, 3], LEAST_PHOTONS)
            trial_nodes = np.maximum(nodes + step[4 * count :], 0.05)
            trial_expected = model.expected(trial, trial_nodes)
            trial_cost = model.deviance(trial_expected)
            if trial_cost <= cost:
                break
            damping = max(damping, 1e-3) * 10
        else:
            return beads, nodes, expected
        gain, cost = cost - trial_cost, trial_cost
        beads, nodes, expected = trial, trial_nodes, trial_expected
        damping = max(damping / 10, LEAST_DAMPING)
        if gain < CONVERGED * max(count, 1):
            break
    return beads, nodes, expected


def _judge(model: FrameModel, beads, nodes, expected) -> Fit:
    """Uncertainties, background and goodness of fit at the end of a fit."""
    count = len(beads)
    information, _ = model.normal_equations(beads, nodes, expected)
    information[np.diag_indices_from(information)] += 1e-9
    covariance = np.linalg.pinv(information, hermitian=True) if count else np.zeros((0, 0))
    sigma = np.sqrt(np.maximum(np.diag(covariance)[: 4 * count], 0)).reshape(count, 4)
    rows, columns = model.image.shape
    squares = (model.image - expected) ** 2 / model.camera.variance(expected)
    background = model.background(nodes)
    centre = np.rint(beads[:, :2] / model.psf.pixel_size_um).astype(int)
    misfit, level = np.ones(count), np.zeros(count)
    for k, (x, y) in enumerate(centre):
        window = squares[max(y - CORE_PX, 0) : y + CORE_PX + 1, max(x - CORE_PX, 0) : x + CORE_PX + 1]
        misfit[k] = window.mean() if window.size else 1.0
        level[k] = background[np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)]
    return Fit(beads[:, 0], beads[:, 1], beads[:, 2], beads[:, 3], sigma[:, :3], sigma[:, 3], level, misfit)


@numba.njit(nogil=True, cache=True)
def _assemble(coefficients, beads, knots, corners, size, pixel, scale, weight, residual, row_hats, column_hats):
    """Sums over pixels of products of derivatives; the derivatives of a bead live in a square around it, those of a node in its hat."""
    rows, columns = weight.shape
    count, node_rows, node_columns = len(beads), len(row_hats), len(column_hats)
    total = 4 * count + node_rows * node_columns
    information, gradient = np.zeros((total, total)), np.zeros(total)
    half = size // 2
    slopes = np.empty((count, 4, size, size))
    for a in range(count):
        unit = gradients(coefficients, beads[a, 0] / pixel - corners[a, 1] - half, beads[a, 1] / pixel - corners[a, 0] - half, knots[a], size)
        for p in range(3):
            slopes[a, p] = unit[p + 1] * (beads[a, 3] * scale[p])
        slopes[a, 3] = unit[0]
    for a in range(count):
        for b in range(a, count):
            top, bottom = max(corners[a, 0], corners[b, 0], 0), min(corners[a, 0] + size, corners[b, 0] + size, rows)
            left, right = max(corners[a, 1], corners[b, 1], 0), min(corners[a, 1] + size, corners[b, 1] + size, columns)
            if top >= bottom or left >= right:
                continue
            block = np.zeros((4, 4))
            for i in range(top, bottom):
                ia, ib = i - corners[a, 0], i - corners[b, 0]
                for p in range(4):
                    for q in range(4):
                        s = 0.0
                        for j in range(left, right):
                            s += slopes[a, p, ia, j - corners[a, 1]] * weight[i, j] * slopes[b, q, ib, j - corners[b, 1]]
                        block[p, q] += s
            for p in range(4):
                for q in range(4):
                    information[4 * a + p, 4 * b + q] = block[p, q]
                    information[4 * b + q, 4 * a + p] = block[p, q]
        for i in range(max(corners[a, 0], 0), min(corners[a, 0] + size, rows)):
            for j in range(max(corners[a, 1], 0), min(corners[a, 1] + size, columns)):
                for p in range(4):
                    slope = slopes[a, p, i - corners[a, 0], j - corners[a, 1]]
                    gradient[4 * a + p] += slope * residual[i, j]
                    # at most two nodes a direction are not zero at a pixel
                    u0 = min(int(i * (node_rows - 1) / max(rows - 1, 1)), node_rows - 2)
                    v0 = min(int(j * (node_columns - 1) / max(columns - 1, 1)), node_columns - 2)
                    for u in range(u0, u0 + 2):
                        for v in range(v0, v0 + 2):
                            information[4 * a + p, 4 * count + u * node_columns + v] += (
                                slope * weight[i, j] * row_hats[u, i] * column_hats[v, j]
                            )
    for i in range(rows):
        u0 = min(int(i * (node_rows - 1) / max(rows - 1, 1)), node_rows - 2)
        for j in range(columns):
            v0 = min(int(j * (node_columns - 1) / max(columns - 1, 1)), node_columns - 2)
            for m in range(4):
                first = 4 * count + (u0 + m // 2) * node_columns + v0 + m % 2
                hat = row_hats[u0 + m // 2, i] * column_hats[v0 + m % 2, j]
                gradient[first] += hat * residual[i, j]
                for n in range(4):
                    second = 4 * count + (u0 + n // 2) * node_columns + v0 + n % 2
                    information[first, second] += hat * weight[i, j] * row_hats[u0 + n // 2, i] * column_hats[v0 + n % 2, j]
    for p in range(4 * count):
        for q in range(4 * count, total):
            information[q, p] = information[p, q]
    return information, gradient
