"""Where else a bead could be: the PSF at all heights held against what the beads so far leave unexplained."""

from dataclasses import dataclass, field

import numba
import numpy as np
from scipy import fft
from skimage.feature import peak_local_max

from defocus3d.population import Population
from defocus3d.psf import PSF

STEP_UM = 0.1  # of the heights: a fraction of the depth over which an image changes
APART_PX = 4  # of two beads that one look at the residual finds
SHIFTS_PX = (-2, 0, 2)  # of a bead's place, along x and y, tried together with another height
PARTNER_SHIFTS_PX = (-4, -2, 0, 2, 4)  # of a second bead's place from the first's
EVERY = 2  # heights of the bank tried for one of two beads


@dataclass
class Bank:
    """Images of a bead at many heights, and their spectra for frames of one shape.

    Attributes
    ----------
    z_um : array (heights,)
    images : float32 array (heights, n, n)
        Unit brightness, bead at the middle.
    reach_px : int array (heights,)
        Half-width of the square that holds nearly all of each image.
    pixel_size_um : float
    """

    z_um: np.ndarray
    images: np.ndarray
    reach_px: np.ndarray
    pixel_size_um: float
    _spectra: dict = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, psf: PSF) -> "Bank":
        """The bank of all heights that `psf` was measured at."""
        low, high = psf.z_range_um
        z_um = np.arange(low + STEP_UM / 4, high, STEP_UM)
        size, middle = 2 * psf.radius_px + 1, psf.radius_px * psf.pixel_size_um
        images = np.stack([psf.image(middle, middle, z, (size, size)) for z in z_um]).astype(np.float32)
        return cls(z_um, images, psf.reach_px(z_um), psf.pixel_size_um)

    def brightness(self, residual, weight) -> tuple[np.ndarray, np.ndarray]:
        """Least-squares brightness of a bead at each height and pixel, and its variance: two arrays (heights, rows, columns)."""
        rows, columns = residual.shape
        if residual.shape not in self._spectra:
            shape = tuple(fft.next_fast_len(n + self.images.shape[1], real=True) for n in residual.shape)
            spectra = [np.conj(fft.rfft2(power, shape)) for power in (self.images, self.images**2)]
            self._spectra[residual.shape] = shape, *spectra
        shape, linear, squared = self._spectra[residual.shape]
        half = self.images.shape[1] // 2

        def correlate(image, spectrum):
            padded = np.pad(image.astype(np.float32), half)
            return fft.irfft2(fft.rfft2(padded, shape) * spectrum, shape)[:, :rows, :columns]

        variance = 1.0 / np.maximum(correlate(weight, squared), 1e-12)
        return correlate(residual * weight, linear) * variance, variance


def bayes_factor(photons, variance, population: Population):
    """Logarithm of the Bayes factor of a bead of the population's brightness against none, at a known place.

    `photons` is what a least-squares fit gives, with `variance`; a lack of light is taken for none.
    """
    photons = np.maximum(photons, 0.0)
    wide = variance + population.photons_sd**2
    return 0.5 * (np.log(variance / wide) - (photons - population.photons) ** 2 / wide + photons**2 / variance)


def peaks(residual, weight, bank: Bank, population: Population, least: float, apart_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Places (beads, 3: x, y, z in µm) of peaks of the log Bayes factor above `least`, and their brightness (beads,).

    Peaks are `apart_px` from each other. `residual` is in photoelectrons, `weight` its inverse variance.
    """
    photons, variance = bank.brightness(residual, weight)
    factor = bayes_factor(photons, variance, population)
    best, height = factor.max(axis=0), factor.argmax(axis=0)
    row, column = peak_local_max(best, min_distance=apart_px, threshold_abs=least, exclude_border=False).T
    at = height[row, column]
    return np.column_stack([column * bank.pixel_size_um, row * bank.pixel_size_um, bank.z_um[at]]), photons[at, row, column]


def unexplained(residual, weight, bank: Bank, population: Population, least: float) -> np.ndarray:
    """Places (beads, 3: x, y, z in µm) at which another bead would explain the residual; see `peaks`."""
    return peaks(residual, weight, bank, population, least, APART_PX)[0]


def heights(residual, weight, place_um, bank: Bank, population: Population) -> tuple[np.ndarray, np.ndarray]:
    """Log Bayes factor of a bead near `place_um` (x, y) at each height (heights,), and its best place (heights, 2: x, y in µm).

    `residual` is the frame less all other beads.
    """
    column, row = np.rint(np.asarray(place_um) / bank.pixel_size_um).astype(int)
    return _near(residual, weight, row, column, bank, population, SHIFTS_PX)


def _near(residual, weight, row, column, bank: Bank, population: Population, shifts, every: int = 1):
    """What `heights` gives, for a place in pixels and for every so many heights of the bank."""
    photons, variance = _brightness_near(residual, weight, row, column, bank.images[::every], bank.reach_px[::every], np.array(shifts))
    factor = bayes_factor(photons, variance, population).reshape(len(photons), -1)
    dy, dx = np.array(shifts)[np.stack(np.unravel_index(factor.argmax(axis=1), (len(shifts),) * 2))]
    return factor.max(axis=1), np.column_stack([column + dx, row + dy]) * bank.pixel_size_um


def pairs(residual, weight, place_um, bank: Bank, population: Population, count: int) -> list[np.ndarray]:
    """The `count` best pairs of places (2, 3: x, y, z in µm) of two beads near `place_um` (x, y) that explain the residual together.

    The first has the population's brightness and lies at `place_um`, at each height in turn; the second is looked for in what is left.
    """
    column, row = np.rint(np.asarray(place_um) / bank.pixel_size_um).astype(int)
    half = bank.images.shape[1] // 2
    top, left = row - half, column - half
    i, j = slice(max(0, top), row + half + 1), slice(max(0, left), column + half + 1)
    here, weights, scores, places = residual[i, j], weight[i, j], [], []
    for k in range(0, len(bank.z_um), EVERY):
        first = population.photons * bank.images[k, i.start - top :, j.start - left :][: here.shape[0], : here.shape[1]]
        gain = float((weights * first * (here - first / 2)).sum())
        factor, second = _near(here - first, weights, row - i.start, column - j.start, bank, population, PARTNER_SHIFTS_PX, EVERY)
        best = int(factor.argmax())
        scores.append(gain + factor[best])
        x, y = second[best] + np.array([j.start, i.start]) * bank.pixel_size_um
        places.append(np.array([[column * bank.pixel_size_um, row * bank.pixel_size_um, bank.z_um[k]], [x, y, bank.z_um[::EVERY][best]]]))
    order = np.argsort(-np.array(scores), kind="stable")[:count]
    return [places[k] for k in order]


@numba.njit(nogil=True, cache=True, fastmath=True)
def _brightness_near(residual, weight, row, column, images, reach, shifts):
    """Least-squares brightness and its variance at each height and shift (rows, then columns): two arrays (heights, shifts, shifts)."""
    rows, columns = residual.shape
    half = images.shape[1] // 2
    photons = np.zeros((len(images), len(shifts), len(shifts)))
    variance = np.full(photons.shape, 1e12)
    for k in range(len(images)):
        for m in range(len(shifts)):
            for n in range(len(shifts)):
                y, x = row + shifts[m], column + shifts[n]
                product, square = np.float32(0), np.float32(0)
                for i in range(max(0, y - reach[k]), min(rows, y + reach[k] + 1)):
                    for j in range(max(0, x - reach[k]), min(columns, x + reach[k] + 1)):
                        value = images[k, i - y + half, j - x + half] * weight[i, j]
                        product += value * residual[i, j]
                        square += value * images[k, i - y + half, j - x + half]
                if square > 0:
                    photons[k, m, n], variance[k, m, n] = product / square, 1 / square
    return photons, variance
