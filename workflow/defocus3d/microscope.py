"""The demo's microscope: simulated bead stacks and Brownian movies with known truth.

Nothing but the simulation, here and in `benchmark`, imports this module: what analyses the pictures must not know how they were made.
"""

from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
import pandas as pd
import psfmodels
from scipy.ndimage import map_coordinates

from defocus3d.camera import Camera

BOLTZMANN_J_K = 1.380649e-23
WATER_25C_PA_S = 0.890e-3  # table value; deliberately not the analysis's own formula
KELVIN = 273.15


@dataclass(frozen=True)
class Objective:
    """Objective and emission. The coverslip is thicker than designed for, which makes the two sides of focus differ."""

    na: float = 1.2
    immersion_index: float = 1.33
    wavelength_um: float = 0.58
    coverslip_um: float = 176.0
    coverslip_design_um: float = 170.0
    bead_diameter_um: float = 0.5


@dataclass(frozen=True)
class Scene:
    """What swims in a movie: `density_per_um2` counts the beads within the axial range, per area of the field."""

    density_per_um2: float
    photons: float
    background_e: float


SCENES = {
    "sparse": Scene(0.02, 6000.0, 20.0),
    "dense": Scene(0.12, 6000.0, 20.0),
    "dim": Scene(0.06, 1500.0, 40.0),
}
AXIAL_RANGE_UM = 3.0  # depth that the density of a scene refers to
DEPTH_UM = 6.0  # beads swim between -6 and 6 µm
MARGIN_UM = 3.0  # and this far beyond the field's edges
PIXEL_UM = 0.1
EXPOSURE_SUBSTEPS = 5


class Microscope:
    """Images of beads through an objective, by the vectorial PSF model of Aguet et al. (2009) from `psfmodels`.

    z is counted from the plane of best focus, where the bead's image is sharpest.
    """

    R_STEP_UM = 0.025
    Z_STEP_UM = 0.04
    Z_REACH_UM = 7.0
    R_REACH_UM = 15.0

    def __init__(self, objective: Objective = Objective()):
        self.objective = objective

    @cached_property
    def table(self) -> np.ndarray:
        """Irradiance per µm² of a bead of unit brightness, shape (z, r), float64."""
        point, focus = self._point_table()
        return self._with_bead_size(point, focus)

    def _point_table(self):
        o = self.objective
        z = np.arange(-self.Z_REACH_UM - 1.5, self.Z_REACH_UM + 1.5, self.Z_STEP_UM)
        n = int(self.R_REACH_UM / self.R_STEP_UM) // 2  # computed at twice the step: the image is band-limited
        table = np.empty((len(z), n))
        for start in range(0, len(z), 8):
            volume = psfmodels.make_psf(
                z[start : start + 8], nx=2 * n - 1, dxy=2 * self.R_STEP_UM, oversample_factor=1, normalize=False,
                NA=o.na, wvl=o.wavelength_um, ns=o.immersion_index, ni=o.immersion_index, ni0=o.immersion_index,
                tg=o.coverslip_um, tg0=o.coverslip_design_um,
            )  # fmt: skip
            table[start : start + 8] = volume[:, n - 1, n - 1 :]
        focus = z[np.argmax(table[:, 0])]
        return (z, table), focus

    def _with_bead_size(self, point, focus):
        """Average of the point's image over the volume of the bead, on z from best focus; brightness 1 at focus."""
        z, table = point
        rng = np.random.default_rng(0)
        directions = rng.standard_normal((256, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        offsets = directions * (self.objective.bead_diameter_um / 2) * np.cbrt(rng.random((256, 1)))
        offsets = np.concatenate([offsets, -offsets])
        r_out = np.arange(0, self.R_REACH_UM - 2, self.R_STEP_UM)
        z_out = np.arange(-self.Z_REACH_UM, self.Z_REACH_UM + 1e-9, self.Z_STEP_UM)
        bead = np.zeros((len(z_out), len(r_out)))
        for dx, dy, dz in offsets:
            r = np.hypot(r_out - dx, dy) / (2 * self.R_STEP_UM)
            depth = (z_out + focus - dz - z[0]) / self.Z_STEP_UM
            bead += map_coordinates(table, np.broadcast_arrays(depth[:, None], r[None, :]), order=1, mode="nearest")
        at_focus = np.argmin(abs(z_out))
        ring_area = 2 * np.pi * r_out * self.R_STEP_UM
        # 97 %: what falls beyond 5 µm at focus is stray light rather than image
        return bead / (bead[at_focus, r_out < 5] * ring_area[r_out < 5]).sum()

    def expose(self, positions_um, photons, shape) -> np.ndarray:
        """Expected photoelectrons per pixel, shape `shape`, of beads at `positions_um` (beads, substeps, 3: x, y, z)."""
        image = np.zeros(shape)
        _expose(image, np.asarray(positions_um, float), np.asarray(photons, float), self.table,
                self.R_STEP_UM, self.Z_STEP_UM, self.Z_REACH_UM, PIXEL_UM)  # fmt: skip
        return image


@numba.njit(nogil=True, cache=True)
def _expose(image, positions, photons, table, r_step, z_step, z_reach, pixel):
    rows, columns = image.shape
    r_count = table.shape[1]
    for b in range(positions.shape[0]):
        near = abs(positions[b, 0, 2]) < 2.0  # far from focus the image is smooth: no blur, no sub-pixels
        steps = positions.shape[1] if near else 1
        sub = 2 if near else 1
        weight = photons[b] * pixel * pixel / (steps * sub * sub)
        for s in range(steps):
            x, y, z = positions[b, s]
            depth = (z + z_reach) / z_step
            k = min(max(int(depth), 0), table.shape[0] - 2)
            f = depth - k
            profile = (1 - f) * table[k] + f * table[k + 1]
            reach = min((1.5 + 2.6 * abs(z)) / pixel, r_count * r_step / pixel)
            for i in range(max(0, int(y / pixel - reach)), min(rows, int(y / pixel + reach) + 2)):
                for j in range(max(0, int(x / pixel - reach)), min(columns, int(x / pixel + reach) + 2)):
                    value = 0.0
                    for si in range(sub):
                        dy = (i + (si + 0.5) / sub - 0.5) * pixel - y
                        for sj in range(sub):
                            dx = (j + (sj + 0.5) / sub - 0.5) * pixel - x
                            r = np.sqrt(dx * dx + dy * dy) / r_step
                            m = int(r)
                            if m < r_count - 1:
                                value += (1 - r + m) * profile[m] + (r - m) * profile[m + 1]
                    image[i, j] += weight * value


def bead_stack(microscope: Microscope, camera: Camera, rng: np.random.Generator, planes=89):
    """A z-stack of nine immobile beads, counts (planes, rows, columns), and the table of where they are.

    z runs from -2.2 to 2.2 µm, with 89 planes in steps of 50 nm; beads lie some tens of nm above or below each other, as on a coverslip.
    """
    side, pitch = 340, 11.0
    grid = (np.arange(3) - 1) * pitch + (side - 1) / 2 * PIXEL_UM
    x, y = (g.ravel() + rng.uniform(-0.8, 0.8, 9) for g in np.meshgrid(grid, grid))
    beads = pd.DataFrame({"x_um": x, "y_um": y, "z_um": rng.normal(0, 0.05, 9), "photons": 20000 * rng.normal(1, 0.15, 9)})
    pictures = []
    for stage in np.linspace(-2.2, 2.2, planes):
        where = np.stack([x, y, beads["z_um"] + stage], axis=1)[:, None, :]
        expected = 20.0 + microscope.expose(where, beads["photons"], (side, side))
        pictures.append(camera.to_counts(camera.detect(expected, rng)))
    return np.stack(pictures), beads


def brownian_movie(microscope: Microscope, camera: Camera, scene: Scene, rng: np.random.Generator,
                   frames=200, side=192, interval_s=0.02, exposure_s=0.01, temperature_c=25.0, depth_um=DEPTH_UM):  # fmt: skip
    """A movie of freely diffusing beads, counts (frames, rows, columns), and its truth.

    The truth has one row a bead and frame: `frame`, `particle`, `x_um`, `y_um`, `z_um` (averages over the exposure), `photons`,
    `D_um2_s`. Beads bounce off walls at ±`depth_um` and 3 µm beyond the field's edges.
    """
    radius_m = microscope.objective.bead_diameter_um / 2 * 1e-6
    diffusion = BOLTZMANN_J_K * (temperature_c + KELVIN) / (6 * np.pi * WATER_25C_PA_S * radius_m) * 1e12
    field = side * PIXEL_UM
    low = np.array([-MARGIN_UM, -MARGIN_UM, -depth_um])
    size = np.array([field + 2 * MARGIN_UM, field + 2 * MARGIN_UM, 2 * depth_um])
    count = rng.poisson(scene.density_per_um2 / AXIAL_RANGE_UM * size.prod())
    photons = scene.photons * rng.normal(1, 0.05, count)
    # times: the exposure in equal substeps, then the dead time
    substep = exposure_s / EXPOSURE_SUBSTEPS
    waits = np.full(EXPOSURE_SUBSTEPS, substep)
    waits[0] = interval_s - exposure_s + substep
    now = rng.random((count, 3)) * size
    movie = np.empty((frames, side, side), np.uint16)
    rows = []
    for frame in range(frames):
        steps = rng.standard_normal((EXPOSURE_SUBSTEPS, count, 3)) * np.sqrt(2 * diffusion * waits)[:, None, None]
        path = now + np.cumsum(steps, axis=0)
        now = size - abs(path[-1] % (2 * size) - size)
        where = (size - abs(path % (2 * size) - size) + low).transpose(1, 0, 2)
        movie[frame] = camera.to_counts(
            camera.detect(scene.background_e + microscope.expose(where, photons, (side, side)), rng)
        )
        mean = where.mean(axis=1)
        rows.append(pd.DataFrame({"frame": frame, "particle": np.arange(count), "x_um": mean[:, 0], "y_um": mean[:, 1],
                                  "z_um": mean[:, 2], "photons": photons, "D_um2_s": diffusion}))  # fmt: skip
    return movie, pd.concat(rows, ignore_index=True)
