"""A PSF whose image is known in closed form, for the tests of what is built on it."""

import numpy as np

from defocus3d.psf import PSF

PIXEL_UM = 0.1
RADIUS_PX = 16


def gaussian_image(x_um, y_um, z_um, shape, photons=1.0):
    """Image of an astigmatic Gaussian bead: its widths in x and y grow on either side of focus, at different z."""
    sx, sy = (0.15 * np.sqrt(1 + ((z_um - c) / 0.7) ** 2) for c in (0.2, -0.2))
    v, u = np.mgrid[: shape[0], : shape[1]] * PIXEL_UM
    value = np.exp(-((u - x_um) ** 2) / (2 * sx**2) - (v - y_um) ** 2 / (2 * sy**2))
    return photons * value * PIXEL_UM**2 / (2 * np.pi * sx * sy)


def gaussian_psf(axial_range_um=(-1.0, 1.0)) -> PSF:
    """That bead as a measured PSF: sampled at the knots."""
    z = np.arange(-1.5, 1.51, 0.1)
    side = 2 * RADIUS_PX + 1
    middle = RADIUS_PX * PIXEL_UM
    values = np.stack([gaussian_image(middle, middle, height, (side, side)) for height in z])
    return PSF(values, PIXEL_UM, float(z[0]), 0.1, axial_range_um)
