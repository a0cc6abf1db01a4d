"""From frames to localizations: found by the FCN, placed by the CNN, then refined or measured with the PSF."""

import json
import logging
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from defocus3d import cnn, fcn, files, population, tables
from defocus3d.acceptance import Acceptance
from defocus3d.camera import Camera
from defocus3d.frame_model import Album
from defocus3d.logs import batches
from defocus3d.matched_filter import Bank
from defocus3d.network import Network
from defocus3d.population import LARGEST_CV, Population
from defocus3d.psf import PSF
from defocus3d.refinement import fit_frame
from defocus3d.sigma_scale import METHOD, UNEXPLAINED, SigmaScale, circumstances_of
from defocus3d.tables import Flag

logger = logging.getLogger(__name__)

CONTEXT_PROBABILITY = 0.2  # detections from here on are shown to the CNN as neighbours, as in its training, and start the fit
UNCERTAIN_UM = (0.3, 0.3, 0.6)  # localizations less certain than this in x, y, z are flagged
UNKNOWN_UM = 10.0  # larger uncertainties, as of beads at the end of the measured heights, are told as this: nothing is known
LEAST_SNR = 3.0  # of a bead's brightness where the networks' places are kept
LEAST_PROBABILITY = 0.5  # least probability of a localization of the fit to be right
POPULATION_FRAMES, POPULATION_ROUNDS = 16, 1  # of a movie, at most, from which the brightness of its beads is measured
POPULATION_BEADS = 400  # that suffice for it: the best measured quarter of them tells the scatter to a tenth
PHOTON_EDGES = np.geomspace(1.0, 1e8, 1853)  # a percent apart: quartiles of a movie of any length in little memory
LATERAL = ["x_um", "y_um"]
SIGMAS = ["sigma_x_um", "sigma_y_um", "sigma_z_um"]
CERTAIN = 3.0  # log odds of beads that count in it
SWITCH_S = 1e-4  # after which a thread of the fit that waits for the interpreter's lock asks for it
SAME_UM = (0.15, 0.4)  # two localizations closer than this, laterally and axially, are one bead


@dataclass(frozen=True)
class Calibration:
    """What `evaluate` learned of a pair of networks, and what they were trained for.

    Attributes
    ----------
    threshold : float
        Probability of the FCN from which a detection counts where the networks work alone.
    sigma_scale : dict
        For each of `sigma_scale.STAGES`: the `SigmaScale` whose factors on the stated uncertainties make 68 % of errors lie within one.
    other_weight : dict
        For each search of the fit, "quick" and "thorough": what a difference in log-likelihood between two heights of a bead is worth, as log
        odds: less than 1, since beads that the fit does not know of mislead it.
    acceptance : dict
        For each search: weights of `acceptance.Acceptance`, how probable it is that a localization is right.
    pixel_size_um, axial_range_um, photons, background_e, density_per_um2
        What the networks were trained for.
    refine : str
        The setting that was calibrated for: with "none", nothing is known of localizations that are refined.
    method : int
        `sigma_scale.METHOD` of the code that calibrated.
    """

    threshold: float
    sigma_scale: dict[str, SigmaScale]
    other_weight: dict[str, float]
    acceptance: dict[str, list[float]]
    pixel_size_um: float
    axial_range_um: tuple[float, float]
    photons: tuple[float, float]
    background_e: tuple[float, float]
    density_per_um2: tuple[float, float]
    refine: str
    method: int = METHOD

    def save(self, path) -> None:
        """Write as JSON."""
        files.write(path, json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path) -> "Calibration":
        """Read what `save` wrote."""
        known = json.loads(Path(path).read_text())
        return cls(**known | {"sigma_scale": {stage: SigmaScale(**scale) for stage, scale in known["sigma_scale"].items()}})


@dataclass(frozen=True)
class Localizer:
    """The networks of one optics, ready for frames of one camera.

    `search` of the fit: "quick", which looks once for another height of each bead and once for missed ones; or "thorough", which asks
    of each bead whatever else it could be, drops improbable ones and looks for missed ones.
    """

    fcn: Network
    cnn: Network
    psf: PSF
    camera: Camera
    calibration: Calibration
    search: str = "quick"

    @staticmethod
    def load_networks(fcn_path, cnn_path, threads: int = 1) -> tuple[Network, Network]:
        """The two networks of .onnx files, each to be run by `threads` threads."""
        return Network.load(fcn_path, threads), Network.load(cnn_path, threads)

    def networks(self, images_e: np.ndarray, threshold: float) -> pd.DataFrame:
        """The networks' answer for images (n, rows, columns): `frame`, places, uncertainties as they state them, `probability`.

        x and y are those of the network that is surer of them.
        """
        pixel = self.psf.pixel_size_um
        prepared = fcn.prepare(images_e, self.camera)
        found = fcn.read_cells(fcn.detect(self.fcn, prepared), pixel, min(CONTEXT_PROBABILITY, threshold))
        context = found[found["probability"] >= CONTEXT_PROBABILITY]
        neighbours = cnn.detection_map(context, len(images_e), images_e.shape[1:], pixel)
        found = found[found["probability"] >= threshold].reset_index(drop=True)
        planes = np.concatenate([prepared, neighbours[..., None]], axis=-1)
        row, column = cnn.centres(found["x_um"] / pixel, found["y_um"] / pixel, images_e.shape[1:])
        place, sigma = cnn.read(self.cnn, cnn.crops(planes, found["frame"], row, column))
        place = (place + np.stack([column, row, np.zeros(len(row))], axis=1)) * (pixel, pixel, 1.0)
        sigma = sigma * (pixel, pixel, 1.0)
        first = found[LATERAL].to_numpy(), found[SIGMAS[:2]].to_numpy()  # the FCN's
        surer = (sigma[:, :2] < first[1]) & (np.hypot(*(place[:, :2] - first[0]).T) < cnn.REACH_UM)[:, None]
        place[:, :2], sigma[:, :2] = np.where(surer, place[:, :2], first[0]), np.where(surer, sigma[:, :2], first[1])
        return found.assign(**dict(zip([*LATERAL, "z_um"], place.T)), **dict(zip(SIGMAS, sigma.T)))

    @cached_property
    def bank(self) -> Bank:
        """Matched filters of the PSF, which tell where else a bead could be."""
        return Bank.of(self.psf)

    def population(self, images_e: np.ndarray, threads: int = 2) -> Population:
        """What the images of a movie (n, rows, columns) tell of its beads.

        First from the networks' finds, fitted together; then from fits under what is known by then, which untangle crowds.
        Of many beads an image, fewer images do.
        """
        known = self.calibration
        beads = Population.unknown(known.photons, known.density_per_um2, known.axial_range_um)
        found = self.networks(images_e, known.threshold)
        count = int(np.ceil(len(images_e) * min(1.0, POPULATION_BEADS / max(len(found), 1))))
        chosen = np.linspace(0, len(images_e) - 1, count).astype(int)
        images_e, found = images_e[chosen], found[found["frame"].isin(chosen)]
        found = found.assign(frame=np.searchsorted(chosen, found["frame"]))
        volume = images_e.size * self.psf.pixel_size_um**2 * np.diff(known.axial_range_um).item()
        for informed in [False] + POPULATION_ROUNDS * [True]:
            fits = self._fits(found, images_e, threads, **(self._informed(beads) if informed else {}))
            table = self._table(fits, found)
            table = table[table["z_um"].between(*known.axial_range_um) & (table["misfit"] < UNEXPLAINED)]
            if informed:
                table = table[table["log_odds"] > CERTAIN]
            beads = population.measure(table["own_photons"], table["own_sigma"], volume, beads, self.camera.excess_noise)
        return beads

    def locate(self, images_e: np.ndarray, beads: Population | None, threads: int = 2) -> pd.DataFrame:
        """Localizations (`tables.LOCALIZATION_COLUMNS`) of images (n, rows, columns) in photoelectrons; `frame` counts from 0.

        `beads`: what is known of the movie's, for a fit of all beads of a frame at once; None keeps the networks' places and fits
        brightness and background alone.
        """
        shape = images_e.shape[1:]
        if beads is None:
            return self.flagged(self.measured(images_e, threads), shape)
        return self.judged(self.fitted(images_e, beads, threads), shape)

    def fitted(self, images_e: np.ndarray, beads: Population, threads: int = 2) -> pd.DataFrame:
        """Beads of the joint fits that start from the networks' answers, as the fits state them; `network` is the FCN's probability."""
        found = self.networks(images_e, min(CONTEXT_PROBABILITY, self.calibration.threshold))
        # the more probable first: of a bead that was proposed twice, the fit keeps the first
        found = found.sort_values(["frame", "probability"], ascending=[True, False], kind="stable", ignore_index=True)
        return self._table(self._fits(found, images_e, threads, **self._informed(beads)), found).assign(photons_cv=beads.photons_cv)

    def judged(self, table: pd.DataFrame, shape) -> pd.DataFrame:
        """Localizations of what `fitted` gives for images of `shape` (rows, columns), with calibrated uncertainties and probabilities."""
        known = self.calibration
        probability = Acceptance(known.acceptance[self.search]).probability(table, known.axial_range_um)
        table = self._scaled(table, self.search, shape)
        table = table.assign(other_log_odds=-known.other_weight[self.search] * table["other_loss"], probability=probability)
        return self.flagged(table.assign(weak=probability < LEAST_PROBABILITY), shape)

    def measured(self, images_e: np.ndarray, threads: int = 2) -> pd.DataFrame:
        """The networks' answers with brightness, background and goodness of fit, without flags."""
        found = self.networks(images_e, self.calibration.threshold)
        table = self._table(self._fits(found, images_e, threads, move=False), found)
        weak = table["photons"] < LEAST_SNR * table["sigma_photons"]
        answer = found.sort_values("frame", kind="stable").reset_index(drop=True)
        answer = answer[["x_um", "y_um", "z_um", *SIGMAS, "probability"]]
        table = table.assign(**answer, weak=weak, other_log_odds=np.nan, photons_cv=LARGEST_CV)  # no population
        return self._scaled(table, "networks", images_e.shape[1:])

    def _scaled(self, table: pd.DataFrame, stage: str, shape) -> pd.DataFrame:
        """`table` of images of `shape` (rows, columns) with calibrated uncertainties."""
        around = circumstances_of(table, self.area_um2(shape), self.psf.blur_um, self.calibration.axial_range_um)
        factors = self.calibration.sigma_scale[stage].factors(around)
        return table.assign(**table[SIGMAS] * factors)

    def area_um2(self, shape) -> float:
        """Area of an image of `shape` (rows, columns)."""
        return float(np.prod(shape)) * self.psf.pixel_size_um**2

    def _informed(self, beads: Population) -> dict:
        """Arguments of `fit_frame` by which it searches in the light of what is known of the movie's beads."""
        return {"population": beads, "bank": self.bank, "thorough": self.search == "thorough"}

    def _fits(self, found: pd.DataFrame, images_e: np.ndarray, threads: int, **how) -> list:
        """The fit of each image, from where the networks found beads."""
        low, high = self.psf.z_range_um
        rows = found.groupby("frame").indices
        places = found[["x_um", "y_um", "z_um"]].to_numpy(copy=True)
        places[:, 2] = np.clip(places[:, 2], low, high)

        albums = [Album(self.psf) for _ in range(threads)]  # memory for one frame after the other

        def fit(k):
            album = albums.pop()
            try:
                return fit_frame(images_e[k], places[rows.get(k, [])], self.psf, self.camera, album=album, **how)
            finally:
                albums.append(album)

        # compiled code releases the interpreter's lock; threads of its linear algebra would only be in the way
        with threadpool_limits(1, user_api="blas"), _quick_switches(), ThreadPoolExecutor(threads) as pool:
            return list(pool.map(fit, range(len(images_e))))

    @staticmethod
    def _table(fits: list, found: pd.DataFrame) -> pd.DataFrame:
        """The beads of all fits; `network` is the probability of the FCN for those it found, else 0."""
        rows = found.groupby("frame").indices
        network = [np.append(found["probability"].to_numpy()[rows.get(k, [])], 0.0)[fit.source] for k, fit in enumerate(fits)]
        joined = {name: np.concatenate([getattr(fit, name) for fit in fits])
                  for name in ("photons", "sigma_photons", "log_odds", "background_e", "misfit")}  # fmt: skip
        for pair, names in (("alone", ("own_photons", "own_sigma")), ("other", ("other_z_um", "other_loss"))):
            joined |= {name: np.concatenate([getattr(fit, pair)[:, i] for fit in fits]) for i, name in enumerate(names)}
        for name in ("places_um", "sigma_um"):
            values = np.concatenate([getattr(fit, name) for fit in fits])
            prefix = name.removesuffix("places_um").removesuffix("um")
            joined |= {f"{prefix}{axis}_um": values[:, i] for i, axis in enumerate("xyz")}
        frame = np.repeat(np.arange(len(fits)), [len(fit.photons) for fit in fits])
        return pd.DataFrame({"frame": frame, **joined, "network": np.concatenate(network)})

    def flagged(self, table: pd.DataFrame, shape) -> pd.DataFrame:
        """Localizations of a table of images of `shape` (rows, columns), with `flag` set."""
        pixel = self.psf.pixel_size_um
        inside = table["z_um"].between(*self.calibration.axial_range_um)
        for name, count in (("x_um", shape[1]), ("y_um", shape[0])):
            inside &= table[name].between(-0.5 * pixel, (count - 0.5) * pixel)
        flag = np.where(inside, 0, Flag.OUT_OF_RANGE)
        uncertain = (table[SIGMAS].to_numpy() > np.array(UNCERTAIN_UM)).any(axis=1)
        flag |= np.where(uncertain, Flag.UNCERTAIN, 0)
        flag |= np.where(table["misfit"] > UNEXPLAINED, Flag.MISFIT, 0)
        flag |= np.where(table["weak"], Flag.WEAK, 0)
        flag |= np.where(doubles(table), Flag.DOUBLE, 0)
        table = table.assign(flag=flag.astype(int), **table[SIGMAS].clip(upper=UNKNOWN_UM))
        return tables.conform(table, tables.LOCALIZATION_COLUMNS)

    def untrained(self, photons: np.ndarray, levels_e: list[float], density_per_um2: float) -> list[str]:
        """In what a movie differs from what the networks were trained for; one sentence each.

        `photons`: the quartiles (lower, upper) of its beads' brightness, none of a movie without beads. `levels_e`: the median of each
        batch of its images. `density_per_um2`: of good localizations.
        """
        card = self.fcn.card
        seen = [("brightness", "photons", card.photons, photons)]
        seen.append(("background", "background_e", card.background_e, np.quantile(levels_e, [0.25, 0.75])))
        out = card.warnings(self.camera, self.psf.blur_um)
        for what, key, (low, high), quartiles in seen:
            outside = [value for value in quartiles if not 0.8 * low <= value <= 1.25 * high]
            if outside:
                out.append(f"{what} of about {outside[0]:.0f} photoelectrons lies outside what the networks were trained for "
                           f"({low:g} to {high:g}): widen training.{key} to include it")  # fmt: skip
        if density_per_um2 > 1.25 * card.density_per_um2[1]:
            out.append(f"{density_per_um2:.2g} localizations per µm² are more than the networks were trained for "
                       f"({card.density_per_um2[0]:g} to {card.density_per_um2[1]:g}): widen training.density_per_um2 to include it")  # fmt: skip
        return out


@contextmanager
def _quick_switches():
    """Threads that come back from compiled code get the interpreter's lock soon: its default of 5 ms is longer than most of their ways."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


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


def localize_movie(localizer: Localizer, frames, acquisition: dict, settings: dict, take: Callable, threads: int = 2) -> dict:
    """Localize a whole movie; what is worth knowing of it.

    Parameters
    ----------
    localizer : Localizer
    frames : frames.Frames
        Opened movie; read in batches, so that memory does not grow with its length.
    acquisition : dict
        Row of the sheet; `axial_scale` multiplies z and its uncertainty.
    settings : dict
        `refine`, `batch_frames`. How the fit searches is the localizer's.
    take : callable
        Is given the localizations of each batch, a DataFrame with `tables.LOCALIZATION_COLUMNS`; nothing here keeps them.

    Returns
    -------
    dict
        `n_frames`, `n_localizations`, `n_good`, `shape`, `pixel_size_um`, `axial_range_um` (after the axial scale), `population` (typical
        brightness of a bead and so on; None without refinement) and `warnings`.
    """
    size = settings["batch_frames"]
    beads = None
    if settings["refine"] == "mle":
        spread = np.unique(np.linspace(0, len(frames) - 1, POPULATION_FRAMES).astype(int))
        beads = localizer.population(np.concatenate([frames.read(k, k + 1) for k in spread]), threads)
        logger.info("beads of %.0f photoelectrons, give or take %.0f", beads.photons, beads.photons_sd)
    scale, levels_e, counts = acquisition["axial_scale"], [], np.zeros(2, np.int64)
    photons = np.zeros(len(PHOTON_EDGES) - 1, np.int64)
    for first in batches(len(frames), size, "frame"):
        images = frames.read(first, min(first + size, len(frames)))
        part = localizer.locate(images, beads, threads)
        part["frame"] += first
        part[["z_um", "sigma_z_um", "other_z_um"]] *= scale
        take(part)
        good = part["flag"] == 0
        counts += len(part), good.sum()
        levels_e.append(float(np.median(images[:, ::2, ::2])))
        photons += np.histogram(np.clip(part["photons"][good], PHOTON_EDGES[0], PHOTON_EDGES[-1]), PHOTON_EDGES)[0]
    n_all, n_good = counts.tolist()
    density_per_um2 = n_good / len(frames) / localizer.area_um2(frames.shape)
    return {"n_frames": len(frames), "n_localizations": n_all, "n_good": n_good, "shape": list(frames.shape),
            "pixel_size_um": localizer.psf.pixel_size_um, "axial_range_um": [float(z * scale) for z in localizer.calibration.axial_range_um],
            "population": beads and asdict(beads), "warnings": localizer.untrained(_quartiles(photons), levels_e, density_per_um2)}  # fmt: skip


def _quartiles(counts: np.ndarray) -> np.ndarray:
    """Lower and upper quartile of what was counted between `PHOTON_EDGES`, good to a percent; empty where nothing was."""
    total = np.cumsum(counts)
    bins = np.searchsorted(total, [0.25 * total[-1], 0.75 * total[-1]])
    return np.sqrt(PHOTON_EDGES[bins] * PHOTON_EDGES[bins + 1]) if total[-1] else np.empty(0)
