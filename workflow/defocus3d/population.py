"""The beads of a movie as a population: how bright they are, how alike, how many; known before any one of them is measured."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtri

LEAST_CV = 0.05  # beads of one batch differ in volume, and the light that excites them is uneven
LARGEST_CV = 1.0  # nothing is known
FEWEST = 12  # beads from which a brightness can be told
CLEAR_SNR = 8.0  # of beads whose brightness is well measured
SHARP_SHARE, FEWEST_SHARP = 0.25, 50  # of them, the best measured; 50 tell their scatter to a quarter
BULK = 2.5  # standard deviations from the middle up to which beads count in it
UNSTATED = 2.0  # real errors of brightness over those that a fit states, which knows nothing of light that is uneven between the background's nodes


@dataclass(frozen=True)
class Population:
    """What is known of a movie's beads.

    Attributes
    ----------
    photons : float
        Their typical brightness, photoelectrons.
    photons_cv : float
        Standard deviation of the brightness, as a share of it.
    density_per_um3 : float
        Beads per volume.
    """

    photons: float
    photons_cv: float
    density_per_um3: float

    @property
    def photons_sd(self) -> float:
        """Standard deviation of the brightness, photoelectrons."""
        return self.photons * self.photons_cv

    @property
    def is_known(self) -> bool:
        """Whether anything is known of the brightness."""
        return self.photons_cv < LARGEST_CV

    def taken_off(self, photons, precision):
        """What the data alone say of a brightness, and its variance: the posterior `photons` of `precision`, less this prior."""
        prior = 1.0 / self.photons_sd**2
        data = np.maximum(precision - prior, 1e-6 * precision)
        return (photons * precision - self.photons * prior) / data, 1.0 / data

    @classmethod
    def unknown(cls, photons, density_per_um2, axial_range_um) -> "Population":
        """What is known from the ranges (low, high) of the training alone."""
        depth = axial_range_um[1] - axial_range_um[0]
        return cls(float(np.sqrt(np.prod(photons))), LARGEST_CV, float(np.sqrt(np.prod(density_per_um2))) / depth)


def measure(photons, sigma_photons, volume_um3: float, unknown: Population, excess_noise: float = 1.0) -> Population:
    """The population that beads belong to, each measured on its own; `unknown` where there are too few.

    The best measured ones of the bulk count: near focus, where their light is on few pixels, they have least of their neighbours' and of
    that of beads beyond the range. Best is the least variance beyond that of counting the bead's own light, which is the background's part
    and as large for bright as for dim beads: by the uncertainty itself dim ones would be chosen, false ones among them. Beads on the wrong
    side of focus are too dim, all of them, and beads that overlap too bright or too dim; `_bulk` hardly minds them. The brightness is the
    median of the best measured bulk; the scatter s is that for which half of its brighter ones lie as far from it as a Gaussian of
    variance s² + sigma² has it.

    Parameters
    ----------
    photons, sigma_photons : arrays (beads,)
        Photoelectrons, and what their uncertainty would be without a prior.
    volume_um3 : float
        Volume, summed over images, that the beads were found in.
    unknown : Population
        What is known of them otherwise.
    excess_noise : float
        Variance of the light that is counted, over its mean.
    """
    photons, sigma = np.asarray(photons, float), np.asarray(sigma_photons, float)
    clear = photons > CLEAR_SNR * sigma
    if clear.sum() < FEWEST:
        return unknown
    bright, sigma = photons[clear], sigma[clear]
    bulk = _bulk(bright)
    bright, sigma = bright[bulk], sigma[bulk]
    sharp = np.argsort(sigma**2 - excess_noise * bright, kind="stable")[: max(FEWEST_SHARP, int(SHARP_SHARE * len(bright)))]
    bright, error = bright[sharp], UNSTATED * sigma[sharp]
    bulk = _bulk(bright)
    middle = float(np.median(bright[bulk]))
    brighter = bulk & (bright >= middle)
    squares, variances = (bright[brighter] - middle) ** 2, error[brighter] ** 2

    def too_far(cv):  # positive while the scatter is too small
        return np.median(squares / ((cv * middle) ** 2 + variances)) - chdtri(1, 0.5)

    if too_far(LEAST_CV) <= 0:
        cv = LEAST_CV
    elif too_far(LARGEST_CV) >= 0:
        cv = LARGEST_CV
    else:
        cv = brentq(too_far, LEAST_CV, LARGEST_CV, xtol=1e-4)
    return Population(middle, float(cv), len(photons) / volume_um3)


def _bulk(values: np.ndarray) -> np.ndarray:
    """Which of `values` are near the shortest interval that holds half of them, bool.

    That interval hardly minds outliers, though they be all on one side (Rousseeuw 1984, J. Am. Stat. Assoc. 79, 871); near are those
    within `BULK` robust standard deviations of its middle.
    """
    ordered = np.sort(values)
    half = len(ordered) // 2
    first = int(np.argmin(ordered[half:] - ordered[: len(ordered) - half]))
    distance = abs(values - (ordered[first] + ordered[first + half]) / 2)
    return distance <= BULK * 1.4826 * np.median(distance)
