"""The point-spread function as measured: a cubic B-spline in x, y and z, and the precision that it permits."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, spline_filter

from defocus3d.camera import Camera
from defocus3d.files import whole
from defocus3d.rendering import gradients, render

LIGHT_KEPT = 0.998  # beyond, an image adds nothing to what a fit knows of its bead


@dataclass(frozen=True, eq=False)
class PSF:
    """Image of a bead of unit brightness, at any sub-pixel place and any height.

    Attributes
    ----------
    values : array (planes, n, n)
        Photoelectrons per pixel at the knots, for a bead whose image at best focus sums to 1. Axes z, y, x; knots lie a pixel apart
        laterally, n is odd, and the bead sits at the middle knot.
    pixel_size_um, z_first_um, z_step_um : float
        Size of a pixel; height of the first plane of knots; distance of the planes. z = 0 is best focus.
    axial_range_um : (float, float), optional
        Range that localization is to cover; the planes reach a little beyond it.
    blur_um : float
        Motion blur that the image shows, rms along each axis; 0 of a bead at rest.

    Beyond its planes the image is that of the last plane, enlarged in proportion to the distance from focus and dimmed by the square
    of it: geometric optics, which holds where the bead is far from focus.
    """

    values: np.ndarray
    pixel_size_um: float
    z_first_um: float
    z_step_um: float
    axial_range_um: tuple[float, float] | None = None
    blur_um: float = 0.0

    @cached_property
    def coefficients(self) -> np.ndarray:
        """B-spline coefficients, shape of `values` with two zero knots on each lateral side, float64."""
        padded = np.pad(np.asarray(self.values, float), ((0, 0), (2, 2), (2, 2)))
        return np.ascontiguousarray(spline_filter(padded, order=3, mode="mirror"))

    @cached_property
    def single(self) -> np.ndarray:
        """`coefficients` in single precision, for fits: twice as fast."""
        return self.coefficients.astype(np.float32)

    @property
    def z_range_um(self) -> tuple[float, float]:
        """Lowest and highest z with measured planes."""
        return self.z_first_um, self.z_first_um + (len(self.values) - 1) * self.z_step_um

    @property
    def z_um(self) -> np.ndarray:
        """Heights of the planes of knots, ascending."""
        return self.z_first_um + np.arange(len(self.values)) * self.z_step_um

    @property
    def radius_px(self) -> int:
        """Half-width of the footprint of a bead within the measured planes."""
        return self.values.shape[1] // 2

    def reach_px(self, z_um) -> np.ndarray:
        """Half-width, int array as `z_um`, of the square that holds nearly all (`LIGHT_KEPT`) of a bead's squared image."""
        return self._reaches[np.rint(self.knots_of(z_um)[0]).astype(int)]

    @cached_property
    def _reaches(self) -> np.ndarray:
        """The same for each plane, (planes,)."""
        half = self.radius_px
        v, u = abs(np.mgrid[-half : half + 1, -half : half + 1])
        power = np.stack([np.bincount(np.maximum(v, u).ravel(), plane.ravel() ** 2) for plane in np.asarray(self.values, float)])
        share = np.cumsum(power, axis=1) / power.sum(axis=1, keepdims=True)
        return np.minimum((share < LIGHT_KEPT).sum(axis=1) + 1, half)

    def image(self, x_um, y_um, z_um, shape, photons=1.0) -> np.ndarray:
        """Photoelectrons per pixel, shape `shape`, of beads at `x_um`, `y_um`, `z_um` (scalars or arrays of one length)."""
        image = np.zeros(shape)
        x, y, z, n = (np.array(a, float, ndmin=1) for a in np.broadcast_arrays(x_um, y_um, z_um, photons))
        render(image, self.coefficients, x / self.pixel_size_um, y / self.pixel_size_um, *self.knots_of(z), n)
        return image

    def focal_series(self, z_um=None, radius_px: int | None = None) -> np.ndarray:
        """Images (heights, n, n) of a bead of unit brightness in the middle, n = 2 `radius_px` + 1.

        `z_um`: the heights, by default those of the measured planes. `radius_px`: by default that of the footprint.
        """
        radius = self.radius_px if radius_px is None else radius_px
        size, middle = 2 * radius + 1, radius * self.pixel_size_um
        return np.stack([self.image(middle, middle, z, (size, size)) for z in (self.z_um if z_um is None else z_um)])

    def knots_of(self, z_um):
        """Plane coordinates (in knots, within the planes) and lateral magnification (at least 1) of heights `z_um`."""
        low, high = self.z_range_um
        inside = np.clip(z_um, low, high)
        magnification = np.where(inside == z_um, 1.0, np.asarray(z_um) / np.where(inside == 0, 1, inside))
        return (inside - low) / self.z_step_um, np.maximum(magnification, 1.0)

    def blurred(self, sigma_um: float) -> "PSF":
        """The mean image of beads that move about their place by `sigma_um` rms along each axis."""
        if sigma_um <= 0:
            return self
        sigma = np.array([sigma_um / self.z_step_um, sigma_um / self.pixel_size_um, sigma_um / self.pixel_size_um])
        # the planes' ends stay: there is nothing beyond to mix in, and the image changes little
        values = gaussian_filter(np.asarray(self.values, float), sigma, mode=("nearest", "constant", "constant"))
        return replace(self, values=values, blur_um=float(np.hypot(self.blur_um, sigma_um)))

    def save(self, path) -> None:
        """Write as .npz."""
        with whole(path) as aside:
            np.savez_compressed(aside, values=self.values.astype(np.float32), pixel_size_um=self.pixel_size_um,
                                z_first_um=self.z_first_um, z_step_um=self.z_step_um,
                                axial_range_um=self.axial_range_um or self.z_range_um)  # fmt: skip

    @classmethod
    def load(cls, path) -> "PSF":
        """Read what `save` wrote. No pickled object is accepted."""
        with np.load(path, allow_pickle=False) as file:
            numbers = (float(file[k]) for k in ("pixel_size_um", "z_first_um", "z_step_um"))
            return cls(file["values"].astype(float), *numbers, tuple(float(z) for z in file["axial_range_um"]))


LIMIT_LEVELS = 4  # brightnesses at which precision_limit.csv states the bound


def precision_limit(psf: PSF, photons, background_e, camera: Camera) -> pd.DataFrame:
    """The bound over z for four brightnesses within `photons` (low, high), at the geometric mean of `background_e`.

    Columns `z_um`, `photons`, `background_e`, `crlb_x_um`, `crlb_y_um`, `crlb_z_um`.
    """
    z = np.linspace(*psf.axial_range_um, 61)
    z = z[(z >= psf.z_range_um[0]) & (z <= psf.z_range_um[1])]
    level = float(np.sqrt(background_e[0] * background_e[1]))
    parts = []
    for brightness in np.geomspace(*photons, LIMIT_LEVELS).round():
        bound = crlb(psf, z, brightness, level, camera)
        parts.append(pd.DataFrame({"z_um": z, "photons": brightness, "background_e": level,
                                   **{f"crlb_{a}_um": bound[:, k] for k, a in enumerate("xyz")}}))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def crlb(psf: PSF, z_um, photons: float, background_e: float, camera: Camera) -> np.ndarray:
    """Lower bounds on the standard deviation of x, y, z in µm, shape (len(z_um), 3), of one isolated bead.

    Inverse Fisher information of x, y, z, brightness and background. Pixels are Poisson; read noise counts as extra Poisson variance
    (Huang et al. 2013, Nat. Methods 10, 653) and electron multiplication doubles the variance (Mortensen et al. 2010, Nat. Methods 7,
    377). Raises ValueError where `z_um` lies outside the measured planes.
    """
    z_um = np.atleast_1d(np.asarray(z_um, float))
    low, high = psf.z_range_um
    if (z_um < low - 1e-9).any() or (z_um > high + 1e-9).any():
        raise ValueError(f"z must lie between {low:g} and {high:g} µm, where the PSF was measured")
    size = 2 * psf.radius_px + 1
    scale = np.array([photons / psf.pixel_size_um, photons / psf.pixel_size_um, photons / psf.z_step_um, 1.0, 1.0])
    bounds = np.empty((len(z_um), 3))
    for row, knot in enumerate(psf.knots_of(z_um)[0]):
        unit, by_x, by_y, by_z = gradients(psf.coefficients, 0.0, 0.0, knot, size)
        jacobian = np.stack([by_x, by_y, by_z, unit, np.ones_like(unit)]).reshape(5, -1) * scale[:, None]
        variance = camera.variance(np.maximum(photons * unit + background_e, 0)).ravel()
        bounds[row] = bound_of(jacobian, variance)[:3]
    return bounds


def bound_of(jacobian: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Lower bounds on the standard deviations of all parameters, shape (p,); infinite where the pixels cannot tell them apart.

    `jacobian`: derivatives of the expected pixels, (p, pixels); `variance` of the pixels. Square roots of the diagonal of the inverse
    Fisher information.
    """
    information = jacobian / variance @ jacobian.T
    scale = np.sqrt(np.diag(information))
    known = scale.all() and np.linalg.cond(information / np.outer(scale, scale)) < 1e12
    return np.sqrt(np.diag(np.linalg.inv(information))) if known else np.full(len(jacobian), np.inf)
