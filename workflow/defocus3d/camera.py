"""The camera: how photoelectrons become counts, and what noise they carry."""

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Camera:
    """Offset, gain and noise of a camera, in the units of its data sheet.

    Attributes
    ----------
    offset_adu : float
        Counts that a dark pixel reads.
    gain_e_per_adu : float
        Photoelectrons (before electron multiplication) per count.
    read_noise_e : float
        Standard deviation of the read noise, in photoelectrons.
    em_gain : float
        1: no electron multiplication. Above 1: an EMCCD, whose multiplication adds excess noise.
    """

    offset_adu: float = 100.0
    gain_e_per_adu: float = 0.46
    read_noise_e: float = 1.6
    em_gain: float = 1.0

    @classmethod
    def of(cls, row) -> "Camera":
        """The camera that a mapping's keys of the same names describe (a row of a sheet, a section of the config)."""
        return cls(*(float(row[field.name]) for field in fields(cls)))

    @property
    def excess_noise(self) -> float:
        """Factor on the Poisson variance: 2 - 1/G, the limit of many multiplication stages.

        Robbins and Hadwen 2003, IEEE Trans. Electron Devices 50, 1227: the squared excess noise factor tends to 2 at high gain,
        1 without multiplication.
        """
        return 2.0 - 1.0 / self.em_gain

    def to_photoelectrons(self, counts):
        """Photoelectrons as float32, any shape, of camera counts."""
        return (np.asarray(counts, dtype=np.float32) - np.float32(self.offset_adu)) * np.float32(self.gain_e_per_adu)

    def variance(self, expected_e):
        """Variance in squared photoelectrons of pixels that expect `expected_e` photoelectrons."""
        return self.excess_noise * np.asarray(expected_e) + self.read_noise_e**2

    def detect(self, expected_e, rng: np.random.Generator):
        """One noisy image in photoelectrons, float32, of the shape of `expected_e` (photoelectrons, at least 0)."""
        noisy = rng.poisson(expected_e).astype(np.float32)
        if self.em_gain > 1:  # the excess over Poisson, as Gaussian: right in mean and variance
            spread = np.sqrt((self.excess_noise - 1.0) * np.maximum(noisy, 0.0), dtype=np.float32)
            noisy += spread * rng.standard_normal(noisy.shape, dtype=np.float32)
        noisy += np.float32(self.read_noise_e) * rng.standard_normal(noisy.shape, dtype=np.float32)
        return noisy

    def to_counts(self, photoelectrons, dtype=np.uint16):
        """Integer counts, clipped to what `dtype` holds, of noisy `photoelectrons`."""
        counts = np.rint(np.asarray(photoelectrons) / self.gain_e_per_adu + self.offset_adu)
        limits = np.iinfo(dtype)
        return np.clip(counts, limits.min, limits.max).astype(dtype)

    def stabilise(self, photoelectrons):
        """Photoelectrons on a scale where the noise has unit variance at any brightness, float32.

        Generalised Anscombe transform (Starck, Murtagh, Bijaoui 1998, Image Processing and Data Analysis, eq. 2.17), with the
        excess noise of electron multiplication as its gain.
        """
        excess = self.excess_noise
        inside = excess * np.asarray(photoelectrons, np.float32) + np.float32(0.375 * excess**2 + self.read_noise_e**2)
        return np.float32(2.0 / excess) * np.sqrt(np.maximum(inside, 0.0), dtype=np.float32)
