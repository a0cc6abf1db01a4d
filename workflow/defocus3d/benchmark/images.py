"""The benchmark's movies and bead stacks, with their truth: the demo's diffusion and camera, behind another objective."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from defocus3d.benchmark import sets
from defocus3d.benchmark.pupil import PupilMicroscope
from defocus3d.benchmark.sets import PIXEL_UM, DataSet
from defocus3d.camera import Camera
from defocus3d.microscope import Scene, brownian_movie

GRID, PITCH_UM = 3, 8.4  # of isolated beads, whose images are 6 µm wide at the ends of the axial range


class Microscope(PupilMicroscope):
    """The pupil's microscope, as `brownian_movie` and `bead_stack` use one."""

    objective = SimpleNamespace(bead_diameter_um=sets.BEAD_DIAMETER_UM)


def movie(one: DataSet, microscope: Microscope, camera: Camera, rng: np.random.Generator):
    """Counts (frames, rows, columns) of a data set, and its truth: `frame`, `x_um`, `y_um`, `z_um` (means over the exposure), `photons`."""
    if one.density_per_um2 == 0:
        return isolated(one, microscope, camera, rng)
    scene = Scene(one.density_per_um2, one.photons, one.background_e)
    return brownian_movie(microscope, camera, scene, rng, frames=one.frames, side=one.side_px, interval_s=sets.INTERVAL_S,
                          exposure_s=one.exposure_s, temperature_c=sets.TEMPERATURE_C, depth_um=one.depth_um)  # fmt: skip


def isolated(one: DataSet, microscope: Microscope, camera: Camera, rng: np.random.Generator):
    """The same of immobile beads that stand alone, evenly spread in z."""
    centre = (one.side_px - 1) / 2 * PIXEL_UM
    grid = centre + PITCH_UM * (np.arange(GRID) - (GRID - 1) / 2)
    corners = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    images, rows = [], []
    for frame in range(one.frames):
        x, y = (corners + rng.uniform(-0.5, 0.5, corners.shape)).T
        z = rng.uniform(-one.depth_um, one.depth_um, len(x))
        light = microscope.expose(np.stack([x, y, z], axis=1)[:, None, :], np.full(len(x), one.photons), (one.side_px, one.side_px))
        images.append(camera.to_counts(camera.detect(one.background_e + light, rng)))
        rows.append(pd.DataFrame({"frame": frame, "x_um": x, "y_um": y, "z_um": z, "photons": one.photons}))
    return np.stack(images), pd.concat(rows, ignore_index=True)
