"""Noise-free scenes of many beads, rendered from the measured PSF: what the networks learn from and are judged by."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import qmc

from defocus3d.files import whole
from defocus3d.psf import PSF

DISTRACTOR_REACH = 4.0  # beads lie up to this many half-ranges from the middle of the axial range
LATERAL_MARGIN_UM = 3.0  # and this far outside the scene: their rings reach in
BEYOND_UM = 0.6  # from this far beyond the axial range on, beads are drawn at rest
HELD_OUT_GROUP = 8  # held-out scenes that belong together, from which the brightness of their beads is told
CALIBRATION_SHARE, REST_SHARE = 0.4, 0.4  # of the held-out scenes: those that calibrate, and those at rest that do so for uncertainties
PATH_POINTS = 4  # places of a moving bead within an exposure
SPREAD = 0.02, 0.4  # least and most scatter of the logarithm of the brightness of a scene's beads
DISTRACTORS = -0.5, 1.5  # least and most of their density in depth, relative to that of the beads in range; below 0: none, as on a coverslip


@dataclass(frozen=True, eq=False)
class Scenes:
    """Noise-free images and the beads in them.

    Attributes
    ----------
    images : array (scenes, n, n), float16
        Expected photoelectrons per pixel.
    beads : DataFrame
        `scene`, `x_um`, `y_um`, `z_um`, `photons`; also beads outside the image or the axial range.
    background_e, density_per_um2, photons, blur_um : arrays (scenes,)
        Mean background, density of beads in range, typical brightness, and motion blur of each scene.
    pixel_size_um : float
    axial_range_um : (float, float)
    """

    images: np.ndarray
    beads: pd.DataFrame
    background_e: np.ndarray
    density_per_um2: np.ndarray
    photons: np.ndarray
    blur_um: np.ndarray
    pixel_size_um: float
    axial_range_um: tuple[float, float]

    def __len__(self):
        return len(self.images)

    def save(self, path) -> None:
        """Write as .npz, uncompressed: read once or twice, and large."""
        beads = {f"beads_{name}": self.beads[name].to_numpy() for name in self.beads}
        with whole(path) as aside:
            np.savez(aside, images=self.images, background_e=self.background_e, density_per_um2=self.density_per_um2,
                     photons=self.photons, blur_um=self.blur_um, pixel_size_um=self.pixel_size_um, axial_range_um=self.axial_range_um, **beads)  # fmt: skip

    @classmethod
    def load(cls, path) -> "Scenes":
        """Read what `save` wrote. No pickled object is accepted."""
        with np.load(path, allow_pickle=False) as file:
            beads = pd.DataFrame({k.removeprefix("beads_"): file[k] for k in file.files if k.startswith("beads_")})
            return cls(file["images"], beads, file["background_e"], file["density_per_um2"], file["photons"],
                       file["blur_um"], float(file["pixel_size_um"]), tuple(float(z) for z in file["axial_range_um"]))  # fmt: skip


def draw_scenes(
    psf: PSF, axial_range_um, count: int, size_px: int, density_per_um2, photons, background_e, blur_um, seed: int, group: int = 1
) -> Scenes:
    """`count` scenes of `size_px` square.

    Parameters
    ----------
    psf : PSF
    axial_range_um : (float, float)
        Beads within it are to be found; others, up to four half-ranges away, are distractors.
    density_per_um2, photons, background_e : (float, float)
        Each group has its density of beads in range, its typical brightness and its background from these, evenly in the logarithm, as
        it has the scatter of the brightness.
    blur_um : (float, float), or array (count, 2)
        Least and most rms displacement of a bead along an axis within an exposure, about its mean place, which is the true one; of all
        scenes, or of each.
    seed : int
        Scene k depends on `seed`, `group` and k alone.
    group : int
        So many successive scenes have their `Conditions` in common, like the frames of a movie.
    """
    conditions = draw_conditions(-(-count // group), density_per_um2, photons, background_e, seed)
    blurs = np.broadcast_to(blur_um, (count, 2))
    psf.coefficients  # computed once, before the threads ask for it

    def draw(k):
        common = conditions[k // group]
        common = common._replace(blur=blurs[k, 0] + common.blur * (blurs[k, 1] - blurs[k, 0]))
        return *draw_scene(psf, axial_range_um, size_px, common, np.random.default_rng([seed, 1, k])), common

    with ThreadPoolExecutor(2) as pool:  # the renderer releases the interpreter's lock
        drawn = list(pool.map(draw, range(count)))
    beads = pd.concat([d[1].assign(scene=k) for k, d in enumerate(drawn)], ignore_index=True)
    return Scenes(np.stack([d[0] for d in drawn]), beads, *(np.array([getattr(d[2], what) for d in drawn]) for what in ("background", "density", "photons", "blur")),
                  psf.pixel_size_um, tuple(axial_range_um))  # fmt: skip


def calibration_parts(count: int) -> tuple[int, int]:
    """Of `count` held-out scenes, where the first part ends, whose beads move and which calibrates, and where the second does, at rest."""
    first = min(max(1, round(CALIBRATION_SHARE * count / HELD_OUT_GROUP)) * HELD_OUT_GROUP, count - 1)
    return first, min(first + int(REST_SHARE * count / HELD_OUT_GROUP) * HELD_OUT_GROUP, count - 1)


def held_out_blur(count: int, blur_um: float) -> np.ndarray:
    """Least and most motion blur of each held-out scene, (count, 2): the movies' `blur_um`, but none in the second part of those that
    calibrate: errors of beads at rest, as in movies of short exposures, are smaller.
    """
    first, second = calibration_parts(count)
    scene = np.arange(count)
    return np.where((scene >= first) & (scene < second), 0.0, blur_um)[:, None].repeat(2, axis=1)


class Conditions(NamedTuple):
    """What scenes of a group have in common.

    Beads in range per µm², their typical brightness and its scatter in the logarithm, the background, motion blur in µm, and the density in
    depth of beads beyond the range, relative to that of those within, which is 0 for a quarter of them.
    """

    density: float
    photons: float
    background: float
    spread: float
    blur: float
    distractors: float


def draw_conditions(count: int, density_per_um2, photons, background_e, seed: int) -> list[Conditions]:
    """Those of `count` groups, `blur` as a share, 0 to 1, of what is between its least and most.

    Spread evenly over all ranges together, by a scrambled Sobol sequence (Owen 1998, J. Complexity 14, 466): of the few groups that
    calibrate, chance would leave whole kinds of movies out.
    """
    sequence = qmc.Sobol(len(Conditions._fields), rng=np.random.default_rng([seed, 0]))
    shares = sequence.random_base2((count - 1).bit_length())[:count]
    low, high = np.array([*np.log([density_per_um2, photons, background_e, SPREAD]), (0.0, 1.0), DISTRACTORS]).T
    values = low + shares * (high - low)
    values[:, :4] = np.exp(values[:, :4])
    values[:, -1] = np.maximum(values[:, -1], 0.0)
    return [Conditions(*row) for row in values.tolist()]


def draw_scene(psf: PSF, axial_range_um, size_px, conditions: Conditions, rng) -> tuple[np.ndarray, pd.DataFrame]:
    """One scene: image (float16) and table of beads, drawn by the generator `rng`."""
    low, high = axial_range_um
    side = size_px * psf.pixel_size_um
    density, brightness, background, spread, blur, distractors = conditions
    area = (side + 2 * LATERAL_MARGIN_UM) ** 2
    within = rng.uniform(low, high, rng.poisson(density * area))
    reach = (DISTRACTOR_REACH - 1) * (high - low) / 2  # of the distractors, on each side of the range
    crowd = density * distractors / (high - low)
    beyond = rng.uniform(0, reach, rng.poisson(2 * crowd * reach * area))
    above = rng.random(len(beyond)) < 0.5
    z = np.concatenate([within, np.where(above, high + beyond, low - beyond)])
    x, y = rng.uniform(-LATERAL_MARGIN_UM, side + LATERAL_MARGIN_UM, (2, len(z))) - psf.pixel_size_um / 2
    bright = brightness * np.exp(spread * rng.standard_normal(len(z)))
    image = uneven(background, size_px, rng)
    sharp = (z > low - BEYOND_UM) & (z < high + BEYOND_UM)  # what is blurred by defocus shows no motion
    image += psf.image(x[~sharp], y[~sharp], z[~sharp], image.shape, bright[~sharp])
    places = np.stack([x, y, z])[:, sharp, None] + blur * brownian_paths(rng, (3, int(sharp.sum())))
    image += psf.image(*places.reshape(3, -1), image.shape, np.repeat(bright[sharp] / PATH_POINTS, PATH_POINTS))
    table = pd.DataFrame({"x_um": x, "y_um": y, "z_um": z, "photons": bright})
    return np.clip(image, 0.05, 6e4).astype(np.float16), table


def uneven(background_e: float, size_px: int, rng) -> np.ndarray:
    """A smooth background around `background_e`: a tilt and two broad hills or hollows, up to some 30 % together."""
    v, u = np.mgrid[:size_px, :size_px] / size_px - 0.5
    shape = 0.15 * (rng.standard_normal() * u + rng.standard_normal() * v)
    for _ in range(2):
        cy, cx = rng.uniform(-0.6, 0.6, 2)
        shape += rng.uniform(-0.15, 0.15) * np.exp(-((u - cx) ** 2 + (v - cy) ** 2) / (2 * rng.uniform(0.15, 0.5) ** 2))
    return background_e * np.clip(1 + shape, 0.3, 2.0)


def brownian_paths(rng, shape) -> np.ndarray:
    """Random walks of `PATH_POINTS` places about their own mean, with unit expected variance; array (*shape, PATH_POINTS)."""
    walk = np.cumsum(rng.standard_normal((*shape, PATH_POINTS)), axis=-1)
    walk -= walk.mean(axis=-1, keepdims=True)
    return walk / np.sqrt((PATH_POINTS**2 - 1) / (6.0 * PATH_POINTS))  # variance of a walk of n unit steps about its mean
