"""A microscope with aberrations that are not symmetric: images from the vectorial pupil function, and the precision they permit."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.fft import fft2, fftfreq, fftshift, ifft2

from defocus3d.benchmark.sets import PIXEL_UM
from defocus3d.camera import Camera
from defocus3d.psf import PSF, bound_of
from defocus3d.rendering import render

NEAR_UM = 3.0  # up to this far from focus the image is stored finely
FINE = 2  # knots of that image in a pixel
DERIVATIVE_STEP_UM = 0.005


@dataclass(frozen=True)
class Pupil:
    """Pupil function of an objective whose immersion matches the sample.

    Attributes
    ----------
    na, index, wavelength_um : float
        Numerical aperture, refractive index of the immersion, wavelength in vacuum.
    astigmatism, coma, spherical : float
        Zernike coefficients (n, m) = (2, 2), (3, 1), (4, 0) in waves, rms over the pupil.
    """

    na: float = 1.2
    index: float = 1.33
    wavelength_um: float = 0.58
    astigmatism: float = 0.07
    coma: float = 0.05
    spherical: float = 0.08

    def wavefront(self, rho, phi):
        """Deviation of the wavefront in waves, at radius `rho` (1 at the rim) and angle `phi`; Zernike terms normed as by Noll 1976."""
        return (
            self.astigmatism * np.sqrt(6) * rho**2 * np.cos(2 * phi)
            + self.coma * np.sqrt(8) * (3 * rho**3 - 2 * rho) * np.cos(phi)
            + self.spherical * np.sqrt(5) * (6 * rho**4 - 6 * rho**2 + 1)
        )

    def intensity(self, z_um: float, size: int) -> np.ndarray:
        """Image of a freely rotating point at `z_um` from nominal focus, shape (size, size), sum 1, centre at size // 2.

        Sampled a pixel apart, not yet integrated over pixels: the field's band ends at NA/λ = 2.1 per µm and the intensity's at twice
        that, below the 5 per µm that pixels of 0.1 µm resolve. The sum over three dipole directions and two polarizations of the squared
        Fourier transform of the pupil field (Richards, Wolf 1959, Proc. R. Soc. A 253, 358, for the geometry of the aplanatic lens;
        Mortensen et al. 2010, Nat. Methods 7, 377, and Stallinga, Rieger 2010, Opt. Express 18, 24461, eq. 1-4, for dipoles):
        amplitudes q over sqrt(cos θ), the phase 2π (W + n z cos θ / λ).
        """
        frequency = fftfreq(size, PIXEL_UM)
        fx, fy = np.meshgrid(frequency, frequency)
        f, phi = np.hypot(fx, fy), np.arctan2(fy, fx)
        inside = f <= self.na / self.wavelength_um
        sine = np.where(inside, f * self.wavelength_um / self.index, 0.0)
        cosine = np.sqrt(1 - sine**2)
        wave = self.wavefront(f * self.wavelength_um / self.na, phi) + self.index * z_um * cosine / self.wavelength_um
        field = np.where(inside, np.exp(2j * np.pi * wave) / np.sqrt(cosine), 0.0)
        cos, sin = np.cos(phi), np.sin(phi)
        mixed = (cosine - 1) * sin * cos
        # rows: field along x and y in the image; columns: dipole along x, y, z
        q = [[cosine * cos**2 + sin**2, mixed, -sine * cos], [mixed, cosine * sin**2 + cos**2, -sine * sin]]
        image = sum(abs(ifft2(field * amplitude)) ** 2 for row in q for amplitude in row)
        return fftshift(image / image.sum())

    @cached_property
    def focus_um(self) -> float:
        """Best focus, counted from nominal focus: where the sum of squares of the image is largest, as the measured PSF has it."""
        z = np.arange(-1.5, 1.51, 0.05)
        sharpness = np.array([(self.intensity(height, 128) ** 2).sum() for height in z])
        k = int(np.clip(sharpness.argmax(), 1, len(z) - 2))
        before, at, after = sharpness[k - 1 : k + 2]
        return float(z[k] + 0.05 * 0.5 * (before - after) / (before - 2 * at + after))

    def spectrum(self, z_um: float, size: int) -> np.ndarray:
        """Fourier transform (size, size) of the image, integrated over pixels, of an emitter at `z_um` from best focus and at x = y = 0."""
        window = np.sinc(fftfreq(size))
        image = np.roll(self.intensity(z_um + self.focus_um, size), (-(size // 2), -(size // 2)), axis=(0, 1))
        return fft2(image) * window * window[:, None]

    def image(self, z_um: float, size: int, dx_px: float = 0.0, dy_px: float = 0.0) -> np.ndarray:
        """Share of the photoelectrons in each pixel, shape (size, size), of an emitter `dx_px`, `dy_px` from pixel size // 2."""
        frequency = fftfreq(size)
        shift = np.exp(-2j * np.pi * (frequency * dx_px + frequency[:, None] * dy_px))
        return fftshift(ifft2(self.spectrum(z_um, size) * shift).real)


def crlb(pupil: Pupil, z_um, photons: float, background_e: float, camera: Camera, size: int = 128) -> np.ndarray:
    """Lower bounds on the standard deviation of x, y, z in µm, shape (len(z_um), 3), of one emitter in `size` by `size` pixels.

    As `psf.crlb` (x, y, z, brightness and background unknown), but from the true image, with exact derivatives along x and y.
    """
    frequency = 2j * np.pi * fftfreq(size, PIXEL_UM)
    bounds = np.empty((len(z_um), 3))
    for k, z in enumerate(z_um):
        spectrum = pupil.spectrum(z, size)
        unit, by_x, by_y = (ifft2(spectrum * f).real for f in (1.0, -frequency, -frequency[:, None]))
        up, down = (ifft2(pupil.spectrum(z + dz, size)).real for dz in (DERIVATIVE_STEP_UM, -DERIVATIVE_STEP_UM))
        by_z = (up - down) / (2 * DERIVATIVE_STEP_UM)
        jacobian = np.stack([photons * by_x, photons * by_y, photons * by_z, unit, np.ones_like(unit)]).reshape(5, -1)
        bounds[k] = bound_of(jacobian, camera.variance(photons * unit + background_e).ravel())[:3]
    return bounds


class PupilMicroscope:
    """Images of emitters through a pupil, in place of `microscope.Microscope`; z is counted from best focus."""

    def __init__(self, pupil: Pupil = Pupil()):
        self.pupil = pupil

    @cached_property
    def near(self) -> PSF:
        """The image within `NEAR_UM` of focus, with two knots in a pixel (of photoelectrons a pixel) along x and y."""
        size, half = 256, int(8.0 / PIXEL_UM) * FINE
        z = np.arange(-NEAR_UM, NEAR_UM + 0.04, 0.08)
        middle = slice(FINE * size // 2 - half, FINE * size // 2 + half + 1)
        values = [self._finer(self.pupil.spectrum(height, size))[middle, middle] for height in z]
        return PSF(np.stack(values), PIXEL_UM / FINE, float(z[0]), 0.08)

    @staticmethod
    def _finer(spectrum) -> np.ndarray:
        """Image at `FINE` knots a pixel, by zeros beyond the band; the emitter at the middle."""
        size = len(spectrum)
        padded = np.pad(fftshift(spectrum), (FINE - 1) * size // 2)
        return fftshift(ifft2(fftshift(padded)).real) * FINE**2

    @cached_property
    def far(self) -> PSF:
        """The image to 7 µm from focus, where it is wide and smooth."""
        size, half = 512, 160
        middle = slice(size // 2 - half, size // 2 + half + 1)
        z = np.arange(-7.0, 7.1, 0.2)
        return PSF(np.stack([self.pupil.image(height, size)[middle, middle] for height in z]), PIXEL_UM, float(z[0]), 0.2)

    def expose(self, positions_um, photons, shape) -> np.ndarray:
        """Expected photoelectrons per pixel, shape `shape`, of emitters at `positions_um` (emitters, substeps, 3: x, y, z)."""
        image = np.zeros(shape)
        positions, photons = np.asarray(positions_um, float), np.asarray(photons, float)
        near = abs(positions[:, 0, 2]) < NEAR_UM - 0.3  # less what may be gone in an exposure
        steps = positions.shape[1]
        x, y, z = positions[near].reshape(-1, 3).T
        knots = self.near.knots_of(z)[0]
        light = np.repeat(photons[near] / steps, steps) / FINE**2  # `render` counts the light of a knot's area
        render(image, self.near.coefficients, x / PIXEL_UM, y / PIXEL_UM, knots, np.full(len(x), 1.0 / FINE), light)
        if not near.all():
            x, y, z = positions[~near, 0].T
            image += self.far.image(x, y, z, shape, photons[~near])
        return np.maximum(image, 0.0)  # the spline may dip below 0 by a trace
