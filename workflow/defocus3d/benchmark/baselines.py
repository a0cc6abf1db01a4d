"""What one has from libraries: trackpy with a look-up of z, and normalised cross-correlation with the bead stack.

Both are given what the benchmark can give them: their detections come with a `score`, and `scores` cuts each movie at the score that
serves best against the truth. So what is measured is the best that they can do with one threshold a movie.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import trackpy
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from skimage.feature import match_template, peak_local_max

from defocus3d.beads import Stack
from defocus3d.psf import PSF

# sizes are the best of those tried, against the truth, on a few frames like the benchmark's: docs/benchmark.md
DIAMETER_PX, SEPARATION_PX = 13, 10  # of trackpy's mask, and least distance of two beads
NEIGHBOURS = 7  # of the look-up, whose median is z
SAME_PX = 2.5  # a find of a plane this close to a bead of the stack is that bead
TEMPLATE_PX = 9  # half-width of the templates
TEMPLATE_STEP_UM = 0.1
LEAST_CORRELATION = 0.2
APART_PX = 4  # least distance of two peaks of the correlation

COLUMNS = ["frame", "x_um", "y_um", "z_um", "score"]
trackpy.quiet()


@dataclass(frozen=True, eq=False)
class LookUp:
    """trackpy's features of the stack's beads at known heights.

    Attributes
    ----------
    tree : cKDTree
        Over features, each in units of its scatter.
    z_um : array
    scatter : array (features,)
    """

    tree: cKDTree
    z_um: np.ndarray
    scatter: np.ndarray
    pixel_size_um: float

    @classmethod
    def of(cls, stacks: list[Stack], beads: pd.DataFrame, pixel_size_um: float) -> "LookUp":
        """From all planes of the stacks and the kept beads of beads.csv."""
        rows, heights = [], []
        names = beads["stack"].map(lambda path: Path(path).name)  # the folder is written as seen from elsewhere
        for stack in stacks:
            mine = beads[(names == Path(stack.name).name) & beads["kept"]]
            known = cKDTree(mine[["x_um", "y_um"]].to_numpy() / pixel_size_um)
            for image, stage in zip(stack.images, stack.stage_um):
                found = located(image)
                distance, which = known.query(found[["x", "y"]].to_numpy(), distance_upper_bound=SAME_PX)
                near = np.isfinite(distance)
                rows.append(features(found[near]))
                heights.append(stage - mine["z_um"].to_numpy()[which[near]])
        values, z = np.concatenate(rows), np.concatenate(heights)
        scatter = values.std(axis=0)
        return cls(cKDTree(values / scatter), z, scatter, pixel_size_um)

    def locate(self, images_e: np.ndarray) -> pd.DataFrame:
        """Beads of images (n, rows, columns): `COLUMNS`; `score` is trackpy's mass."""
        parts = []
        for frame, image in enumerate(images_e):
            found = located(image)
            nearest = self.tree.query(features(found) / self.scatter, k=NEIGHBOURS)[1]
            z = np.median(self.z_um[nearest], axis=1) if len(found) else []
            place = found[["x", "y"]].to_numpy() * self.pixel_size_um
            mass = found["mass"].to_numpy()
            parts.append(pd.DataFrame({"frame": frame, "x_um": place[:, 0], "y_um": place[:, 1], "z_um": z, "score": mass}))
        return pd.concat(parts, ignore_index=True)[COLUMNS]


def located(image_e: np.ndarray) -> pd.DataFrame:
    """What trackpy finds in an image, however dim."""
    # counted from well below the background, in tenths of an electron, as a camera would count
    counts = np.clip(10 * (image_e - np.median(image_e)) + 1000, 0, 65535).astype(np.uint16)
    return trackpy.locate(counts, DIAMETER_PX, separation=SEPARATION_PX, preprocess=True, engine="numba").dropna(subset=["x", "y"])


def features(found: pd.DataFrame) -> np.ndarray:
    """What of a find depends on z and not on brightness, (n, 4): size, eccentricity, error of the place, and how peaked it is."""
    peaked = np.log(np.maximum(found["signal"], 1e-6) / np.maximum(found["mass"], 1e-6))
    error = np.log(np.clip(found["ep"].fillna(1.0), 1e-3, 10.0))
    return np.column_stack([found["size"], found["ecc"].fillna(0.0), error, peaked])


@dataclass(frozen=True, eq=False)
class Correlation:
    """Normalised cross-correlation with the mean bead of the stacks at many heights."""

    templates: np.ndarray
    z_um: np.ndarray
    pixel_size_um: float

    @classmethod
    def of(cls, psf: PSF) -> "Correlation":
        """Templates at all measured heights, beyond the axial range too: beads there are then told from those within."""
        low, high = psf.z_range_um
        z = np.linspace(low, high, int(round((high - low) / TEMPLATE_STEP_UM)) + 1)
        return cls(psf.focal_series(z, TEMPLATE_PX), z, psf.pixel_size_um)

    def locate(self, images_e: np.ndarray) -> pd.DataFrame:
        """Beads of images (n, rows, columns): `COLUMNS`; `score` is the correlation coefficient."""
        return pd.concat([self._in_image(image).assign(frame=k) for k, image in enumerate(images_e)], ignore_index=True)[COLUMNS]

    def _in_image(self, image) -> pd.DataFrame:
        volume = np.stack([match_template(image, one, pad_input=True, mode="reflect") for one in self.templates])
        best = gaussian_filter(volume.max(axis=0), 0.7)
        peaks = peak_local_max(best, min_distance=APART_PX, threshold_abs=LEAST_CORRELATION, exclude_border=False)
        row, column = peaks.T
        plane = volume[:, row, column].argmax(axis=0)
        edge = [np.clip(index, 1, count - 2) for index, count in zip((plane, row, column), volume.shape)]
        z, y, x = (place + self._vertex(volume, edge, axis) for axis, place in enumerate(edge))
        height = self.z_um[0] + z * (self.z_um[1] - self.z_um[0])
        pixel, score = self.pixel_size_um, volume[plane, row, column]
        return pd.DataFrame({"x_um": x * pixel, "y_um": y * pixel, "z_um": height, "score": score})

    @staticmethod
    def _vertex(volume, place, axis) -> np.ndarray:
        """How far from `place` the parabola through three values along `axis` has its top, at most half a step."""
        before, after = [list(place), list(place)]
        before[axis], after[axis] = place[axis] - 1, place[axis] + 1
        low, middle, high = volume[tuple(before)], volume[tuple(place)], volume[tuple(after)]
        return np.clip(0.5 * (low - high) / np.minimum(low - 2 * middle + high, -1e-9), -0.5, 0.5)
