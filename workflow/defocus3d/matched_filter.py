"""Where else a bead could be: the PSF at all heights held against what the beads so far leave unexplained."""

from dataclasses import dataclass, field
from functools import cached_property

import numba
import numpy as np
from scipy import fft
from scipy.ndimage import laplace, uniform_filter
from skimage.feature import peak_local_max

from defocus3d.population import Population
from defocus3d.psf import PSF

STEP_UM = 0.1  # of the heights: a fraction of the depth over which an image changes
APART_PX = 4  # of two beads that one look at the residual finds
PARTNERS_PX = [(dx, dy) for dy in (-4, -2, 0, 2, 4) for dx in (-4, -2, 0, 2, 4)]  # of a second bead's place from the first's
EVERY = 2  # heights of the bank tried for missed beads and for one of two; the fit finds what is between
TOLERANCE = 0.01  # of the bank's images as sums of a few
REMAINS, AROUND = 0.05, 1.0  # of a missed bead's log Bayes factor, in what is left, within so many sizes of an image
BLOCK_PX = 3  # where the weight of the pixels is smooth, correlations with it may be of its means over blocks; an odd number
OTHER_HEIGHT_UM = 0.15  # heights closer than this are one: a fit gets from one to the other itself
FLOOR = 0.02  # of an image's peak: the background, when images are compared
ROWS = 32  # of a frame, for which all heights are held in memory at once


@dataclass(frozen=True, eq=False)
class Components:
    """Images that are, to `TOLERANCE`, sums of a few: the best few by singular value decomposition (Eckart and Young 1936).

    Attributes
    ----------
    shares : float32 array (images, components)
    components : float32 array (components, n, n)
    """

    shares: np.ndarray
    components: np.ndarray
    _spectra: dict = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, images: np.ndarray) -> "Components":
        """The components of `images` (images, n, n); their number follows from the worst image, relative to its own norm."""
        flat = images.reshape(len(images), -1).astype(float)
        norm = np.linalg.norm(flat, axis=1, keepdims=True)
        left, singular, right = np.linalg.svd(flat / norm, full_matrices=False)
        missed = np.sqrt(np.maximum(1.0 - np.cumsum((left * singular) ** 2, axis=1), 0.0)).max(axis=0)
        count = min(int((missed > TOLERANCE).sum()) + 1, len(images))
        shares = (norm * left[:, :count] * singular[:count]).astype(np.float32)
        return cls(shares, right[:count].reshape(count, *images.shape[1:]).astype(np.float32))

    def correlated(self, image: np.ndarray) -> np.ndarray:
        """Correlation of `image` (rows, columns) with each component, (components, rows, columns), 0 beyond the image's border."""
        rows, columns = image.shape
        if image.shape not in self._spectra:
            half = self.components.shape[1] // 2
            shape = tuple(fft.next_fast_len(max(n, half + 1) + half, real=True) for n in image.shape)  # a period in which no two ends meet
            around = np.zeros((len(self.components), *shape), np.float32)
            around[:, : 2 * half + 1, : 2 * half + 1] = self.components
            self._spectra[image.shape] = shape, np.conj(fft.rfft2(np.roll(around, (-half, -half), axis=(1, 2))))
        shape, spectra = self._spectra[image.shape]
        transformed = fft.rfft2(image.astype(np.float32), shape)
        return np.stack([fft.irfft2(transformed * spectrum, shape)[:rows, :columns] for spectrum in spectra])


@dataclass(frozen=True, eq=False)
class Bank:
    """Images of a bead at many heights.

    Attributes
    ----------
    z_um : array (heights,)
    images : float32 array (heights, n, n)
        Unit brightness, bead at the middle.
    reach_px : int array (heights,)
        Half-width of the square that holds nearly all of each image.
    pixel_size_um : float
    block_px : int
        Width of the blocks over which the weight of the pixels is averaged; 1 where it changes within an image.
    """

    z_um: np.ndarray
    images: np.ndarray
    reach_px: np.ndarray
    pixel_size_um: float
    block_px: int = BLOCK_PX

    @classmethod
    def of(cls, psf: PSF, block_px: int = BLOCK_PX) -> "Bank":
        """The bank of all heights that `psf` was measured at."""
        low, high = psf.z_range_um
        z_um = np.arange(low + STEP_UM / 4, high, STEP_UM)
        return cls(z_um, psf.focal_series(z_um).astype(np.float32), psf.reach_px(z_um), psf.pixel_size_um, block_px)

    @cached_property
    def linear(self) -> Components:
        """What the images consist of."""
        return Components.of(self.images)

    @cached_property
    def coarse(self) -> tuple[Components, Components]:
        """What the images, and their squares, summed over blocks, consist of."""
        n, block = self.images.shape[1], self.block_px
        margin = (block * (-(-n // block) | 1) - n) // 2  # with it, an odd number of blocks
        padded = np.pad(self.images, [(0, 0), (margin, margin), (margin, margin)])
        return Components.of(_blocks(padded, block)), Components.of(_blocks(padded**2, block))

    @cached_property
    def alike(self) -> list[np.ndarray]:
        """For each height, those (n,) at which a bead looks most like there: its counterparts beyond focus.

        Images are held against each other in photon noise, with place, brightness and blur free. The counterpart of a height is where they
        differ least, and less than in between. It need not have that height as its own counterpart: so both count, each for the other.
        """
        images = self.images.astype(float)
        by_y, by_x = np.gradient(images, axis=(1, 2))
        free = np.stack([images, by_x, by_y, laplace(images, axes=(1, 2))], axis=1).reshape(len(images), 4, -1)
        differ = np.empty((len(images), len(images)))
        for image, row in zip(images.reshape(len(images), -1), differ):
            weight = 1.0 / (np.maximum(image, 0) + FLOOR * image.max())
            weighted = free * weight
            product, information = weighted @ image, weighted @ free.transpose(0, 2, 1)
            row[:] = weight @ image**2 - (product * np.linalg.solve(information, product[..., None])[..., 0]).sum(axis=1)
        least = np.zeros(differ.shape, bool)
        least[:, 1:-1] = (differ[:, 1:-1] < differ[:, :-2]) & (differ[:, 1:-1] <= differ[:, 2:])
        least &= abs(self.z_um[:, None] - self.z_um) > OTHER_HEIGHT_UM
        own = _least_of_each(np.where(least, differ, np.inf))
        both = own | _least_of_each(np.where(own, differ, np.inf).T)
        return [self.z_um[which] for which in both]

    @cached_property
    def partners(self) -> tuple[np.ndarray, np.ndarray]:
        """Images at every `EVERY`-th height, each moved by all of `PARTNERS_PX`, (heights x moves, n x n), and their squares."""
        images, reach, n = self.images[::EVERY], self.reach_px[::EVERY], self.images.shape[1]
        moved = np.zeros((len(images), len(PARTNERS_PX), n, n), np.float32)
        for image, extent, out in zip(images, reach, moved):
            core = slice(n // 2 - extent, n // 2 + extent + 1)
            near = np.zeros_like(image)
            near[core, core] = image[core, core]
            for (dx, dy), at in zip(PARTNERS_PX, out):
                at[max(dy, 0) : n + min(dy, 0), max(dx, 0) : n + min(dx, 0)] = near[max(-dy, 0) : n - max(dy, 0), max(-dx, 0) : n - max(dx, 0)]
        moved = moved.reshape(-1, n * n)
        return moved, moved**2

    def best(self, residual, weight, population: Population, least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log Bayes factor of a missed bead at each pixel, at its best height, the height's number and its light: (rows, columns) each.

        Of a missed bead's light, the background and other beads have taken a part. So the light is that of least squares together with
        an even background within the image, and too little of it is not held against a bead: else most of those far from focus are
        missed. Where no height comes to `least`, that is given, with height 0 and no light. Few rows at a time: there are many heights.
        """
        weighted = residual * weight
        products = self.linear.correlated(weighted)
        left, total = self._around(weighted), self._around(weight)
        (rows, columns), block = residual.shape, self.block_px
        mean = _blocks(np.pad(weight, [(0, -n % block) for n in weight.shape]), block) / block**2
        even, square = (part.shares[::EVERY] @ part.correlated(mean).reshape(len(part.components), -1) for part in self.coarse)
        cells = np.arange(rows)[:, None] // block * mean.shape[1] + np.arange(columns) // block
        factor, photons = np.full((rows, columns), least, np.float32), np.zeros((rows, columns), np.float32)
        height = np.zeros((rows, columns), np.int64)
        for first in range(0, rows, ROWS):
            part = slice(first, min(first + ROWS, rows))
            product = self.linear.shares[::EVERY] @ products[:, part].reshape(len(products), -1)
            flat = (map_[part].reshape(-1) for map_ in (left, total, cells, factor, height, photons))
            _best_height(product, even, square, population.photons, population.photons_sd**2, *flat)
        return factor, EVERY * height, photons

    def shown(self, z_um: float, row: int, column: int, shape) -> tuple[np.ndarray, slice, slice]:
        """The part that a frame of `shape` shows of the image at `z_um` around a pixel of it, and its rows and columns there (slices)."""
        image, half = self.images[np.argmin(abs(self.z_um - z_um))], self.images.shape[1] // 2
        i, j = slice(max(0, row - half), min(shape[0], row + half + 1)), slice(max(0, column - half), min(shape[1], column + half + 1))
        return image[i.start - row + half : i.stop - row + half, j.start - column + half : j.stop - column + half], i, j

    def _around(self, image: np.ndarray) -> np.ndarray:
        """Sum of `image` over the square of the bank's images around each pixel, float32."""
        n = self.images.shape[1]
        return (n * n * uniform_filter(image.astype(float), n, mode="constant")).astype(np.float32)


def _least_of_each(values: np.ndarray) -> np.ndarray:
    """Which is the least of each row, bool; none where all are infinite."""
    chosen = np.zeros(values.shape, bool)
    chosen[np.arange(len(values)), values.argmin(axis=1)] = True
    return chosen & np.isfinite(values)


@numba.njit(nogil=True, cache=True, fastmath=True)
def _missed_factor(product, square, typical, spread):
    """Log Bayes factor of a missed bead (see `Bank.best`) and its light, from sums of weighted products; see `bayes_factor`."""
    precision = max(square, 1e-12)
    light = product / precision
    wide = 1 / precision + spread
    return 0.5 * (light * product - max(light - typical, 0.0) ** 2 / wide) - 0.5 * np.log(precision * wide), light


@numba.njit(nogil=True, cache=True, fastmath=True)
def _best_height(products, evens, squares, typical, spread, left, total, cells, factor, height, photons):
    """Write, for each pixel, the best height over `factor`; sums of weighted products with the images and their squares.

    `products` (heights, pixels) with the residual, `left` the residual itself, `total` the weight; `evens`, `squares` (heights, cells)
    the images and their squares in the cell that each pixel belongs to.
    """
    pixels = products.shape[1]
    share, inverse, promise = np.empty((3, pixels), np.float32)
    for i in range(pixels):
        share[i], inverse[i] = left[i] / total[i], 1 / total[i]
    for k in range(products.shape[0]):
        for i in range(pixels):  # without a branch, so that many pixels go at once
            even = evens[k, cells[i]]
            product = max(products[k, i] - even * share[i], np.float32(0))
            square = max(squares[k, cells[i]] - even * even * inverse[i], np.float32(1e-12))
            promise[i] = product * product - 2 * factor[i] * square
        for i in range(pixels):
            if promise[i] <= 0:
                continue  # the rest, of which the logarithm costs most, can only lower it
            even = evens[k, cells[i]]
            gain, light = _missed_factor(products[k, i] - even * share[i], squares[k, cells[i]] - even * even * inverse[i], typical, spread)
            if gain > factor[i]:
                factor[i], height[i], photons[i] = gain, k, light


def _blocks(image: np.ndarray, block: int) -> np.ndarray:
    """Sums over blocks of `block` x `block` of the last two axes, which are multiples of it."""
    *others, rows, columns = image.shape
    return image.reshape(*others, rows // block, block, columns // block, block).sum(axis=(-3, -1))


def bayes_factor(photons, variance, population: Population):
    """Logarithm of the Bayes factor of a bead of the population's brightness against none, at a known place.

    `photons` is what a least-squares fit gives, with `variance`; a lack of light is taken for none.
    """
    photons = np.maximum(photons, 0.0)
    wide = variance + population.photons_sd**2
    return 0.5 * (np.log(variance / wide) - (photons - population.photons) ** 2 / wide + photons**2 / variance)


def peaks(residual, weight, bank: Bank, population: Population, least: float, apart_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Places (beads, 3: x, y, z in µm) of peaks of the log Bayes factor above `least`, and their brightness (beads,).

    Peaks are `apart_px` from each other; see `Bank.best`. `residual` is in photoelectrons, `weight` its inverse variance.
    """
    factor, height, photons = bank.best(residual, weight, population, least)
    row, column = peak_local_max(factor, min_distance=apart_px, threshold_abs=least, exclude_border=False).T
    places = np.column_stack([column * bank.pixel_size_um, row * bank.pixel_size_um, bank.z_um[height[row, column]]])
    return places, photons[row, column]


def unexplained(residual, weight, bank: Bank, population: Population, least: float) -> np.ndarray:
    """Places (beads, 3: x, y, z in µm) at which other beads would explain the residual; see `peaks`.

    Wherever a broad image covers the light of one missed bead there is a peak. So peaks are taken one by one, the clearest first, and the
    light of each is taken off before the next is asked (matching pursuit: Mallat and Zhang 1993, IEEE Trans. Signal Process. 41, 3397).
    What remains of a clear one, between the places and heights that are tried and in the background that took of its light, is no reason
    for another.
    """
    left, kept, gains = residual.copy(), [], []
    places, _ = peaks(residual, weight, bank, population, least, APART_PX)
    for place in places:
        column, row = np.rint(place[:2] / bank.pixel_size_um).astype(int)
        image, i, j = bank.shown(place[2], row, column, residual.shape)
        contrast = image - (image * weight[i, j]).sum() / weight[i, j].sum()
        product, square = (contrast * weight[i, j] * left[i, j]).sum(), (contrast**2 * weight[i, j]).sum()
        around = [gain for gain, other in zip(gains, kept) if abs(other - place)[:2].max() < AROUND * len(bank.images[0]) * bank.pixel_size_um]
        gain, light = _missed_factor(product, square, population.photons, population.photons_sd**2)
        if light > 0 and gain > max([least, *(REMAINS * other for other in around)]):
            kept.append(place)
            gains.append(gain)
            left[i, j] -= light * image
    return np.array(kept).reshape(-1, 3)


def heights(residual, weight, place_um, bank: Bank, population: Population, shifts_px) -> tuple[np.ndarray, np.ndarray]:
    """Log Bayes factor of a bead near `place_um` (x, y) at each height (heights,), and its best place (heights, 2: x, y in µm).

    `residual` is the frame less all other beads. `shifts_px`: from its place, along x and y, that are tried at each height.
    """
    column, row = np.rint(np.asarray(place_um) / bank.pixel_size_um).astype(int)
    shifts, typical, spread = np.array(shifts_px), population.photons, population.photons_sd**2
    factor, best = _best_shift(residual, weight, row, column, bank.images, bank.reach_px, shifts, typical, spread)
    return factor, (np.array([column, row]) + best) * bank.pixel_size_um


def pairs(residual, weight, place_um, bank: Bank, population: Population, count: int) -> list[np.ndarray]:
    """The `count` best pairs of places (2, 3: x, y, z in µm) of two beads near `place_um` (x, y) that explain the residual together.

    The first has the population's brightness and lies at `place_um`, at each height in turn; the second is looked for in what is left.
    """
    column, row = np.rint(np.asarray(place_um) / bank.pixel_size_um).astype(int)
    half = bank.images.shape[1] // 2
    top, left = row - half, column - half
    i, j = slice(max(0, top), row + half + 1), slice(max(0, left), column + half + 1)
    here, weights = np.zeros((2, *bank.images.shape[1:]), np.float32)  # 0 beyond the frame
    for square, frame in ((here, residual), (weights, weight)):
        part = frame[i, j]
        square[i.start - top :, j.start - left :][: part.shape[0], : part.shape[1]] = part
    firsts = population.photons * bank.images[::EVERY].reshape(-1, here.size)
    here, weights = here.ravel(), weights.ravel()
    seconds, squared = bank.partners
    gain = (firsts * (here - firsts / 2)) @ weights
    products = (weights * (here - firsts)) @ seconds.T
    precision = np.maximum(squared @ weights, np.float32(1e-12))
    factor = bayes_factor(products / precision, 1 / precision, population).reshape(len(firsts), len(firsts), -1)
    shift = factor.argmax(axis=2)
    second = factor.max(axis=2)
    partner = second.argmax(axis=1)
    order = np.argsort(-(gain + second.max(axis=1)), kind="stable")[:count]
    z_um, moved = bank.z_um[::EVERY], np.array(PARTNERS_PX) * bank.pixel_size_um
    x, y = column * bank.pixel_size_um, row * bank.pixel_size_um
    out = []
    for k in order:
        dx, dy = moved[shift[k, partner[k]]]
        out.append(np.array([[x, y, z_um[k]], [x + dx, y + dy, z_um[partner[k]]]]))
    return out


@numba.njit(nogil=True, cache=True, fastmath=True)
def _best_shift(residual, weight, row, column, images, reach, shifts, typical, spread):
    """Log Bayes factor at each height (heights,) for the best shift along x and y, and that shift (heights, 2); see `bayes_factor`."""
    rows, columns = residual.shape
    half = images.shape[1] // 2
    factor, best = np.full(len(images), -np.inf), np.zeros((len(images), 2), np.int64)
    for k in range(len(images)):
        for dy in shifts:
            for dx in shifts:
                y, x = row + dy, column + dx
                product, square = np.float32(0), np.float32(0)
                left, right = max(0, x - reach[k]), max(0, min(columns, x + reach[k] + 1))
                for i in range(max(0, y - reach[k]), min(rows, y + reach[k] + 1)):
                    line, light, weights = images[k, i - y + half, left - x + half :], residual[i, left:right], weight[i, left:right]
                    for j in range(len(light)):
                        share = line[j] * weights[j]
                        product += share * light[j]
                        square += share * line[j]
                bright, variance = (max(product, 0.0) / square, 1 / square) if square > 0 else (0.0, 1e12)
                wide = variance + spread
                gain = 0.5 * (np.log(variance / wide) - (bright - typical) ** 2 / wide + bright**2 / variance)
                if gain > factor[k]:
                    factor[k], best[k, 0], best[k, 1] = gain, dx, dy
    return factor, best
