"""From frames to localizations: lateral by the FCN, axial by the CNN, then refined or measured with the PSF."""

import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import IntFlag
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from defocus3d import cnn, fcn, tables
from defocus3d.camera import Camera
from defocus3d.psf import PSF
from defocus3d.refinement import Fit, fit_frame

logger = logging.getLogger(__name__)

CONTEXT_PROBABILITY = 0.2  # detections from here on are shown to the CNN as neighbours, as in its training
UNCERTAIN_UM = (0.3, 0.3, 0.6)  # localizations less certain than this in x, y, z are flagged
MISFIT = 2.0  # mean squared residual over variance from which the PSF does not explain the image
TRUST_UM = 0.3  # where a refinement leaves the networks' lateral place by more, the networks' answer is kept
LEAST_SNR = 3.0  # of a bead's brightness in the fit
SAME_UM = (0.15, 0.4)  # two localizations closer than this, laterally and axially, are one bead


class Flag(IntFlag):
    """Why a localization is not to be used; 0 is good."""

    OUT_OF_RANGE = 1  # beyond the axial range
    UNCERTAIN = 2  # its uncertainty is too large to tell anything
    MISFIT = 4  # the image around it is not explained
    WEAK = 8  # the fit finds less light of it than three times the uncertainty of that
    DOUBLE = 16  # a second answer for one bead


@dataclass(frozen=True)
class Calibration:
    """What `evaluate` learned of a pair of networks, and what they were trained for.

    Attributes
    ----------
    threshold : float
        Probability from which a detection counts.
    sigma_scale : dict
        For "networks" and "refined": factors on the stated uncertainties in x, y, z that make 68 % of errors lie within one.
    pixel_size_um, axial_range_um, photons, background_e, density_per_um2
        What the networks were trained for.
    """

    threshold: float
    sigma_scale: dict
    pixel_size_um: float
    axial_range_um: tuple[float, float]
    photons: tuple[float, float]
    background_e: tuple[float, float]
    density_per_um2: tuple[float, float]

    def save(self, path) -> None:
        """Write as JSON."""
        Path(path).write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path) -> "Calibration":
        """Read what `save` wrote."""
        return cls(**json.loads(Path(path).read_text()))


@dataclass(frozen=True)
class Localizer:
    """The networks of one optics, ready for frames of one camera."""

    fcn: keras.Model
    cnn: keras.Model
    psf: PSF
    camera: Camera
    calibration: Calibration

    @staticmethod
    def load_networks(fcn_path, cnn_path) -> tuple[keras.Model, keras.Model]:
        """The two networks of .keras files; code within the files is refused."""
        return tuple(keras.saving.load_model(path, compile=False, safe_mode=True) for path in (fcn_path, cnn_path))

    def networks(self, images_e: np.ndarray, threshold: float) -> pd.DataFrame:
        """The networks' answer for images (n, rows, columns): `frame`, places, uncertainties as they state them, `probability`."""
        pixel = self.psf.pixel_size_um
        prepared = fcn.prepare(images_e, self.camera)
        found = fcn.read_cells(fcn.detect(self.fcn, prepared), pixel, min(CONTEXT_PROBABILITY, threshold))
        context = found[found["probability"] >= CONTEXT_PROBABILITY]
        neighbours = cnn.detection_map(context, len(images_e), images_e.shape[1:], pixel)
        found = found[found["probability"] >= threshold].reset_index(drop=True)
        planes = np.concatenate([prepared, neighbours[..., None]], axis=-1)
        z, sigma_z = cnn.depths(self.cnn, cnn.crops(planes, found["frame"], found["x_um"] / pixel, found["y_um"] / pixel))
        return found.assign(z_um=z, sigma_z_um=sigma_z)

    def locate(self, images_e: np.ndarray, refine: str, threads: int = 2) -> pd.DataFrame:
        """Localizations (`tables.LOCALIZATION_COLUMNS`) of images (n, rows, columns) in photoelectrons; `frame` counts from 0.

        `refine`: "mle" fits all beads of a frame at once; "none" keeps the networks' places and fits brightness and background alone.
        """
        found = self.networks(images_e, self.calibration.threshold)
        frames = [found[found["frame"] == k] for k in range(len(images_e))]

        def measure(k):
            return self._with_fit(frames[k], images_e[k], refine == "mle")

        with ThreadPoolExecutor(threads) as pool:  # the fit releases the interpreter's lock
            measured = list(pool.map(measure, (k for k in range(len(frames)) if len(frames[k]))))
        if not measured:
            return tables.empty(tables.LOCALIZATION_COLUMNS)
        table = self._flagged(pd.concat(measured, ignore_index=True))
        return tables.conform(table, tables.LOCALIZATION_COLUMNS)

    def _with_fit(self, found: pd.DataFrame, image_e: np.ndarray, refine: bool) -> pd.DataFrame:
        """`found` of one frame with brightness, background and misfit; with places and uncertainties refined if asked."""
        places = found[["x_um", "y_um", "z_um"]].to_numpy()
        low, high = self.psf.z_range_um
        start = np.column_stack([places[:, :2], np.clip(places[:, 2], low, high)])
        fit: Fit = fit_frame(image_e, start, self.psf, self.camera, move=refine)
        out = found.assign(photons=fit.photons, background_e=fit.background_e, misfit=fit.misfit)
        out["weak"] = fit.photons < LEAST_SNR * fit.sigma_photons
        scale = np.array(self.calibration.sigma_scale["networks"])
        sigma = found[["sigma_x_um", "sigma_y_um", "sigma_z_um"]].to_numpy() * scale
        if refine:
            refined = np.column_stack([fit.x_um, fit.y_um, fit.z_um])
            strayed = np.hypot(*(refined - places).T[:2]) > TRUST_UM
            places = np.where(strayed[:, None], places, refined)
            sigma = np.where(strayed[:, None], sigma, fit.sigma_um * np.array(self.calibration.sigma_scale["refined"]))
        out["weak"] = fit.photons < LEAST_SNR * fit.sigma_photons
        out[["x_um", "y_um", "z_um"]] = places
        out[["sigma_x_um", "sigma_y_um", "sigma_z_um"]] = sigma
        return out

    def _flagged(self, table: pd.DataFrame) -> pd.DataFrame:
        """`table` with `flag` set."""
        low, high = self.calibration.axial_range_um
        flag = np.where((table["z_um"] < low) | (table["z_um"] > high), Flag.OUT_OF_RANGE, 0)
        uncertain = (table[["sigma_x_um", "sigma_y_um", "sigma_z_um"]].to_numpy() > np.array(UNCERTAIN_UM)).any(axis=1)
        flag |= np.where(uncertain, Flag.UNCERTAIN, 0)
        flag |= np.where(table["misfit"] > MISFIT, Flag.MISFIT, 0)
        flag |= np.where(table["weak"], Flag.WEAK, 0)
        flag |= np.where(doubles(table), Flag.DOUBLE, 0)
        return table.assign(flag=flag.astype(int))


def doubles(table: pd.DataFrame) -> np.ndarray:
    """Which localizations repeat a more probable one of the same frame, bool array."""
    repeated = np.zeros(len(table), bool)
    if len(table) < 2:
        return repeated
    far = 10.0 * max(SAME_UM)
    points = np.column_stack([table["x_um"], table["y_um"], table["z_um"] * SAME_UM[0] / SAME_UM[1], table["frame"] * far])
    probability = table["probability"].to_numpy()
    for a, b in cKDTree(points).query_pairs(SAME_UM[0]):
        repeated[a if (probability[a], -a) < (probability[b], -b) else b] = True
    return repeated


def localize_movie(localizer: Localizer, frames, acquisition: dict, settings: dict, threads: int = 2) -> tuple[pd.DataFrame, dict]:
    """Localizations of a whole movie, and what is worth knowing of it.

    Parameters
    ----------
    localizer : Localizer
    frames : frames.Frames
        Opened movie; read in batches, so that memory does not grow with its length.
    acquisition : dict
        Row of the sheet; `axial_scale` multiplies z and its uncertainty.
    settings : dict
        `refine`, `batch_frames`.

    Returns
    -------
    DataFrame with `tables.LOCALIZATION_COLUMNS`, and a dict with `n_frames`, `shape`, `pixel_size_um`, `axial_range_um` (after the
    axial scale) and `warnings`.
    """
    size, start = settings["batch_frames"], time.monotonic()
    parts, levels, told = [], [], start
    for first in range(0, len(frames), size):
        images = frames.read(first, min(first + size, len(frames)))
        part = localizer.locate(images, settings["refine"], threads)
        parts.append(part.assign(frame=part["frame"] + first))
        levels.append(float(np.median(images)))
        if time.monotonic() - told > 10:
            told = time.monotonic()
            done = first + len(images)
            logger.info("frame %d of %d, %.0f s left", done, len(frames), (told - start) / done * (len(frames) - done))
    table = tables.conform(pd.concat(parts, ignore_index=True), tables.LOCALIZATION_COLUMNS)
    scale = acquisition["axial_scale"]
    table[["z_um", "sigma_z_um"]] *= scale
    info = {"n_frames": len(frames), "shape": list(frames.shape), "pixel_size_um": localizer.psf.pixel_size_um,
            "axial_range_um": [float(z * scale) for z in localizer.calibration.axial_range_um],
            "warnings": untrained(localizer.calibration, table, levels)}  # fmt: skip
    return table, info


def untrained(calibration: Calibration, table: pd.DataFrame, levels: list[float]) -> list[str]:
    """In what a movie differs from what the networks were trained for; one sentence each. `levels`: medians of frames in e."""
    out = []
    good = table[table["flag"] == 0]
    seen = [("brightness", "photons", calibration.photons, good["photons"].quantile([0.25, 0.75]) if len(good) else [])]
    seen.append(("background", "background_e", calibration.background_e, pd.Series(levels).quantile([0.25, 0.75])))
    for what, key, (low, high), quartiles in seen:
        outside = [value for value in quartiles if not 0.8 * low <= value <= 1.25 * high]
        if outside:
            out.append(f"{what} of about {outside[0]:.0f} photoelectrons lies outside what the networks were trained for "
                       f"({low:g} to {high:g}): widen training.{key} to include it")  # fmt: skip
    return out
