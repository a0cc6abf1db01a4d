"""The point-spread function as measured: a cubic B-spline in x, y and z, and the precision that it permits."""

from dataclasses import dataclass, replace
from functools import cached_property

import numba
import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, spline_filter

from defocus3d.camera import Camera
from defocus3d.files import whole

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
        x, y, z, n = (np.atleast_1d(np.asarray(a, float)) for a in np.broadcast_arrays(x_um, y_um, z_um, photons))
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


@numba.njit(nogil=True, cache=True, inline="always")
def _taps(position, count, weights, slopes):
    """First knot of the four that matter at `position`, with their B-spline weights and derivatives, kept within the array."""
    first = min(max(int(np.floor(position)) - 1, 0), count - 4)
    t = position - first - 1.0
    s = 1.0 - t
    weights[0] = s * s * s / 6.0
    weights[1] = (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0
    weights[2] = (4.0 - 6.0 * s * s + 3.0 * s * s * s) / 6.0
    weights[3] = t * t * t / 6.0
    slopes[0] = -s * s / 2.0
    slopes[1] = -2.0 * t + 1.5 * t * t
    slopes[2] = 2.0 * s - 1.5 * s * s
    slopes[3] = t * t / 2.0
    return first


@numba.njit(nogil=True, cache=True)
def _mirrored_taps(knot, count):
    """The four of `count` planes that matter at height `knot`, their weights and derivatives; mirrored beyond the ends as the filter assumed."""
    weights, slopes, planes = np.empty(4), np.empty(4), np.empty(4, np.int64)
    first = int(np.floor(knot)) - 1
    t = knot - first - 1.0
    s = 1.0 - t
    weights[:] = (s**3 / 6, (4 - 6 * t * t + 3 * t**3) / 6, (4 - 6 * s * s + 3 * s**3) / 6, t**3 / 6)
    slopes[:] = (-s * s / 2, -2 * t + 1.5 * t * t, 2 * s - 1.5 * s * s, t * t / 2)
    for k in range(4):
        p = abs(first + k)
        planes[k] = 2 * (count - 1) - p if p > count - 1 else p
    return planes, weights, slopes


@numba.njit(nogil=True, cache=True)
def _mirrored(coefficients, knot):
    """Planes of coefficients mixed for height `knot`."""
    planes, weights, _ = _mirrored_taps(knot, len(coefficients))
    plane = np.zeros(coefficients.shape[1:])
    for k in range(4):
        plane += weights[k] * coefficients[planes[k]]
    return plane


@numba.njit(nogil=True, cache=True)
def render(image, coefficients, x_px, y_px, knots, magnifications, photons):
    """Add beads to `image`; places in pixels, heights as `PSF.knots_of` gives them, one entry a bead."""
    rows, columns = image.shape
    n = coefficients.shape[1]
    centre = n // 2
    weights, slopes = np.empty(4), np.empty(4)
    line = np.empty(n)
    for b in range(len(x_px)):
        scale = 1.0 / magnifications[b]
        reach = (centre - 2) * magnifications[b]
        plane = _mirrored(coefficients, knots[b])
        strength = photons[b] * scale * scale
        left, right = max(0, int(np.ceil(x_px[b] - reach))), min(columns, int(np.floor(x_px[b] + reach)) + 1)
        taps = np.empty((max(right - left, 0), 4))
        starts = np.empty(max(right - left, 0), np.int64)
        for j in range(left, right):
            starts[j - left] = _taps((j - x_px[b]) * scale + centre, n, weights, slopes)
            taps[j - left] = weights
        for i in range(max(0, int(np.ceil(y_px[b] - reach))), min(rows, int(np.floor(y_px[b] + reach)) + 1)):
            first = _taps((i - y_px[b]) * scale + centre, n, weights, slopes)
            for m in range(n):
                line[m] = strength * (weights[0] * plane[first, m] + weights[1] * plane[first + 1, m]
                                      + weights[2] * plane[first + 2, m] + weights[3] * plane[first + 3, m])  # fmt: skip
            for j in range(right - left):
                s = starts[j]
                image[i, left + j] += (taps[j, 0] * line[s] + taps[j, 1] * line[s + 1]
                                       + taps[j, 2] * line[s + 2] + taps[j, 3] * line[s + 3])  # fmt: skip


@numba.njit(nogil=True, cache=True)
def gradients(coefficients, dx_px, dy_px, knot, size):
    """Unit image and its derivatives by x, y (per pixel) and z (per knot), shape (4, size, size).

    The bead lies `dx_px`, `dy_px` from the middle pixel of the square; the square must lie within the PSF's footprint and half a
    pixel, what is beyond the footprint is 0.
    """
    out = np.zeros((4, size, size))
    write_gradients(out[0], out[1:], coefficients, dx_px, dy_px, knot, size // 2)
    return out


@numba.njit(nogil=True, cache=True, fastmath=True)
def write_gradients(image, slopes, coefficients, dx_px, dy_px, knot, reach):
    """Write what `gradients` gives to `image` (size, size) and, within `reach` of its middle pixel, to `slopes` (3 or more, size, size)."""
    size, n = image.shape[0], coefficients.shape[1]
    centre, half = n // 2, size // 2
    kind = coefficients.dtype
    wx, sx, wy, sy = np.empty(4, kind), np.empty(4, kind), np.empty(4, kind), np.empty(4, kind)
    position_x = centre - half - dx_px
    first_x = int(np.floor(position_x)) - 1
    _taps(position_x - first_x, 8, wx, sx)  # the knots are a pixel apart: one set of weights serves the whole row
    first_y = int(np.floor(centre - half - dy_px)) - 1
    _taps(centre - half - dy_px - first_y, 8, wy, sy)
    planes, weights_z, slopes_z = _mirrored_taps(knot, len(coefficients))
    wz, sz = weights_z.astype(kind), slopes_z.astype(kind)
    a, b, c, d = (coefficients[planes[0]], coefficients[planes[1]], coefficients[planes[2]], coefficients[planes[3]])
    value, by_y, by_z = np.zeros(n, kind), np.zeros(n, kind), np.zeros(n, kind)
    lines, slope_lines = np.empty((4, n), kind), np.empty((4, n), kind)
    ready = -4  # first row of knots that `lines` hold
    for i in range(size):
        r = first_y + i
        if r < 0 or r + 3 >= n:
            image[i] = 0
            slopes[:3, i] = 0
            continue
        near = abs(i - half) <= reach
        for k in range(4):
            if r + k < ready + 4:  # three of four rows serve the next pixel too
                continue
            line, slope_line = lines[(r + k) % 4], slope_lines[(r + k) % 4]
            for m in range(n):
                line[m] = wz[0] * a[r + k, m] + wz[1] * b[r + k, m] + wz[2] * c[r + k, m] + wz[3] * d[r + k, m]
            for m in range(n):
                slope_line[m] = sz[0] * a[r + k, m] + sz[1] * b[r + k, m] + sz[2] * c[r + k, m] + sz[3] * d[r + k, m]
        ready = r
        l0, l1, l2, l3 = lines[r % 4], lines[(r + 1) % 4], lines[(r + 2) % 4], lines[(r + 3) % 4]
        for m in range(n):
            value[m] = wy[0] * l0[m] + wy[1] * l1[m] + wy[2] * l2[m] + wy[3] * l3[m]
        first, last = max(0, -first_x), min(size, n - 3 - first_x)
        image[i, :first] = 0
        image[i, last:] = 0
        for j in range(first, last):
            c0 = first_x + j
            image[i, j] = wx[0] * value[c0] + wx[1] * value[c0 + 1] + wx[2] * value[c0 + 2] + wx[3] * value[c0 + 3]
        if not near:
            continue
        slopes[:3, i, :first] = 0
        slopes[:3, i, last:] = 0
        z0, z1, z2, z3 = slope_lines[r % 4], slope_lines[(r + 1) % 4], slope_lines[(r + 2) % 4], slope_lines[(r + 3) % 4]
        for m in range(n):
            by_y[m] = sy[0] * l0[m] + sy[1] * l1[m] + sy[2] * l2[m] + sy[3] * l3[m]
        for m in range(n):
            by_z[m] = wy[0] * z0[m] + wy[1] * z1[m] + wy[2] * z2[m] + wy[3] * z3[m]
        for j in range(max(first, half - reach), min(last, half + reach + 1)):
            c0 = first_x + j
            slopes[0, i, j] = -(sx[0] * value[c0] + sx[1] * value[c0 + 1] + sx[2] * value[c0 + 2] + sx[3] * value[c0 + 3])
            slopes[1, i, j] = -(wx[0] * by_y[c0] + wx[1] * by_y[c0 + 1] + wx[2] * by_y[c0 + 2] + wx[3] * by_y[c0 + 3])
            slopes[2, i, j] = wx[0] * by_z[c0] + wx[1] * by_z[c0 + 1] + wx[2] * by_z[c0 + 2] + wx[3] * by_z[c0 + 3]


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
    known = np.linalg.cond(information / np.sqrt(np.outer(*[np.diag(information) + 1e-300] * 2))) < 1e12
    return np.sqrt(np.diag(np.linalg.inv(information))) if known else np.full(len(jacobian), np.inf)
