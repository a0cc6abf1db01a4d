"""A look at stacks and movies before anything is trained: what is in them, and what can be expected of them."""

import numpy as np
import pandas as pd

from defocus3d.camera import Camera
from defocus3d.matched_filter import Bank, peaks
from defocus3d.population import Population
from defocus3d.psf import PSF, crlb

FRAMES, SEARCHED = 16, 8  # of a movie that are read, and of these the ones in which beads are looked for
APART_UM = 0.8  # of two beads that a first look tells apart
ROUNDS = 3  # of looking for beads
NEAR_FOCUS = 0.5  # of the axial range: where the brightness of a bead is seen at once
REMAINS_UM = 1.5  # from a bead, where its remains are found
LEAST_FACTOR = 12.0  # log Bayes factor of a bead that a first look finds
ACROSS_UM = 0.3  # heights on the other side of focus that are at least this far away, from each other and from focus
TOLD_APART = 4.0  # standard deviations: the likelier side is then wrong in 2 % of images
MANY_SATURATED = 1e-4  # share of pixels
LENIENCE = {"background_e": 1.25, "photons": 1.5, "density_per_um2": 2.0}  # factors by which a first look may be wrong
FEW_BEADS = 6  # kept for the PSF


def sides_apart(psf: PSF, photons: float, background_e: float, camera: Camera) -> pd.DataFrame:
    """How well one image tells the two sides of focus apart: `z_um`, `other_z_um`, `distance`, a row a height of the axial range.

    `distance` is that of the image of a bead at z from the most similar one on the other side, in standard deviations of the noise,
    with the brightness of the other free: the likelier of the two is wrong with the chance that a Gaussian exceeds half of it.
    """
    low, high = psf.axial_range_um
    z = psf.z_um[(psf.z_um >= low) & (psf.z_um <= high)]
    images = psf.focal_series(z).reshape(len(z), -1)
    rows = []
    for k, height in enumerate(z):
        across = np.flatnonzero((z * height < 0) & (np.minimum(abs(z), abs(height)) >= ACROSS_UM / 2) & (abs(z - height) >= ACROSS_UM))
        if len(across) == 0:
            continue
        weight = 1.0 / camera.variance(np.maximum(photons * images[k] + background_e, 0.0))
        others = images[across]
        scale = (others * weight) @ images[k] / ((others**2) @ weight)
        squares = photons**2 * ((images[k] - scale[:, None] * others) ** 2) @ weight
        best = int(np.argmin(squares))
        rows.append((height, z[across[best]], float(np.sqrt(squares[best]))))
    return pd.DataFrame(rows, columns=["z_um", "other_z_um", "distance"])


def first_look(images_e: np.ndarray, psf: PSF, camera: Camera, training: dict) -> pd.DataFrame:
    """Beads that the PSF alone finds in images (n, rows, columns): `frame`, `x_um`, `y_um`, `z_um`, `photons`, `clear`.

    Peaks of the Bayes factor of one bead against none, in rounds: what was found is taken off before the next. Good to count beads, to
    some tens of percent. Brightness is known roughly (`clear`) only of those found first and not far from focus.
    """
    bank = Bank.of(psf, block_px=1)  # the weight is that of single pixels
    beads = Population.unknown(training["photons"], training["density_per_um2"], psf.axial_range_um)
    near = NEAR_FOCUS * np.array(psf.axial_range_um)
    found = []
    for frame, image in enumerate(images_e):
        level = max(float(np.percentile(image, 35)), 0.5)
        weight = (1.0 / camera.variance(np.maximum(image, level))).astype(np.float32)
        expected = np.full(image.shape, level)
        for number in range(ROUNDS):
            places, photons = peaks(image - expected, weight, bank, beads, LEAST_FACTOR, max(1, round(APART_UM / psf.pixel_size_um)))
            x, y, z = places.T
            expected += psf.image(x, y, z, image.shape, photons)
            clear = (number == 0) & (z >= near[0]) & (z <= near[1])
            found.append(pd.DataFrame({"frame": frame, "x_um": x, "y_um": y, "z_um": z, "photons": photons, "clear": clear}))
    found = without_remains(pd.concat(found, ignore_index=True))
    return found[found["z_um"].between(*psf.axial_range_um)].reset_index(drop=True)


def without_remains(found: pd.DataFrame) -> pd.DataFrame:
    """`found` without what is near a bead of twice its brightness: what is left where that was taken off, for its place is rough."""
    keep = np.ones(len(found), bool)
    x, y, frame, photons = (found[name].to_numpy() for name in ("x_um", "y_um", "frame", "photons"))
    for k in range(len(found)):
        near = (frame == frame[k]) & (np.hypot(x - x[k], y - y[k]) < REMAINS_UM)
        keep[k] = photons[k] > 0.5 * photons[near].max()
    return found[keep]


def movie_facts(images_e: np.ndarray, found: pd.DataFrame, saturation_e: float, psf: PSF, camera: Camera, training: dict) -> dict:
    """Numbers of a movie, and `advice`: a sentence for each thing to mend. `images_e`: some frames; `found`: of the first `SEARCHED`."""
    rows, columns = images_e.shape[1:]
    area = rows * columns * psf.pixel_size_um**2
    levels = np.median(images_e, axis=(1, 2))
    facts = {
        "background_e": float(np.median(levels)),
        "beads_per_frame": len(found) / min(len(images_e), SEARCHED),
        "density_per_um2": len(found) / min(len(images_e), SEARCHED) / area,
        "photons": float(found.loc[found["clear"], "photons"].median()) if found["clear"].any() else None,
        "saturated_share": float((images_e >= saturation_e).mean()),
    }
    limit = crlb(psf, [0.0, 0.8 * psf.axial_range_um[1]], facts["photons"] or training["photons"][0], facts["background_e"], camera)
    facts |= {"limit_focus_nm": (1000 * limit[0]).tolist(), "limit_away_nm": (1000 * limit[1]).tolist()}
    return facts | {"advice": _advice(facts, levels, training)}


def _advice(facts: dict, levels, training: dict) -> list[str]:
    advice = []
    if facts["background_e"] <= 0:
        advice.append(
            f"the background is {facts['background_e']:.0f} photoelectrons: camera.offset_adu is too high, or the images are rescaled"
        )
    for what, key in (("background", "background_e"), ("brightness of the beads", "photons"), ("density", "density_per_um2")):
        value, (low, high) = facts[key], training[key]
        if value and value > 0 and not low / LENIENCE[key] <= value <= LENIENCE[key] * high:
            outside = f"{what}, about {value:.3g}, lies outside of training.{key}, {low:g} to {high:g}"
            advice.append(f"{outside}: widen it to include what you recorded")
    if facts["saturated_share"] > MANY_SATURATED:
        advice.append(f"{100 * facts['saturated_share']:.2g} % of the pixels are saturated: shorten the exposure or dim the light")
    if facts["beads_per_frame"] < 1:
        advice.append("hardly a bead is seen: is the movie in focus, is the camera's gain right, are the beads dim?")
    if levels.max() > 1.5 * max(levels.min(), 1.0):
        change = f"{levels.min():.0f} to {levels.max():.0f} photoelectrons"
        advice.append(f"the background changes from {change} over the movie: bleaching, or light from outside?")
    return advice


def optics_advice(beads: pd.DataFrame, apart: pd.DataFrame, training: dict) -> list[str]:
    """A sentence for each thing to mend of an optics: its table beads.csv, and `sides_apart` at the brightest of the training."""
    advice, kept = [], int(beads["kept"].sum())
    if kept < FEW_BEADS:
        more = "record more isolated ones, nine or so; several stacks of one optics are pooled"
        advice.append(f"only {kept} beads are kept for the PSF: {more}")
    saturated = int((beads["reason"] == "saturated").sum())
    if saturated:
        advice.append(f"{saturated} beads are saturated: record the stack with less light")
    alike = apart[apart["distance"] < TOLD_APART]
    if len(alike):
        span = f"{abs(alike['z_um']).min():.1f} to {abs(alike['z_um']).max():.1f} µm from focus"
        advice.append(
            f"the two sides of focus look alike ({span}) even for beads of {training['photons'][1]:g} photoelectrons: z may be on the "
            "wrong side; a slight astigmatism or spherical aberration (cover-slip correction, a weak cylinder lens) tells them apart"
        )
    return advice


def in_words(facts: dict) -> list[str]:
    """The facts of a movie, a sentence each."""
    focus, away = (", ".join(f"{value:.0f}" for value in facts[f"limit_{where}_nm"]) for where in ("focus", "away"))
    bright = facts["photons"]
    photons = "none clear enough to tell the brightness" if bright is None else f"roughly {bright:,.0f} photoelectrons each"
    return [
        f"beads in a frame, at a first look: {facts['beads_per_frame']:.0f} ({facts['density_per_um2']:.3g} per µm²), {photons}",
        f"background: {facts['background_e']:.0f} photoelectrons a pixel; saturated pixels: {100 * facts['saturated_share']:.2g} %",
        f"best precision of a bead alone, x, y, z: {focus} nm at focus; {away} nm near the end of the range",
    ]
