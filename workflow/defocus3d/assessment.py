"""The networks put to the test on held-out scenes and on the user's own held-out beads."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import repeat

import numpy as np
import pandas as pd
from scipy.interpolate import RegularGridInterpolator

from defocus3d import evaluation
from defocus3d.acceptance import Acceptance
from defocus3d.beads import Stack
from defocus3d.camera import Camera
from defocus3d.evaluation import AXES, in_frame, jaccard, pairs_table, row
from defocus3d.localization import CONTEXT_PROBABILITY, POPULATION_FRAMES, SIGMAS, Calibration, Localizer
from defocus3d.logs import batches
from defocus3d.population import LARGEST_CV, LEAST_CV, Population
from defocus3d.psf import PSF, crlb
from defocus3d.scenes import HELD_OUT_GROUP, Scenes, calibration_parts
from defocus3d.sigma_scale import STAGES, SigmaScale, circumstances_of

Z_BINS, DENSITY_BINS, PHOTON_BINS = 10, 5, 5
FEWEST_MATCHED = 3  # pairs that a slope needs
FEWEST_ALIKE = 3  # beads of a stack that tell how bright its others are


def _noisy(scenes: Scenes, which, camera: Camera, seed: int) -> np.ndarray:
    return camera.detect(scenes.images[which].astype(np.float32), np.random.default_rng([seed, 9]))


def _truth(scenes: Scenes, which) -> pd.DataFrame:
    """Beads of the scenes `which`, `frame` counting them, with each scene's density and background."""
    beads = scenes.beads[scenes.beads["scene"].isin(which)]
    frame = beads["scene"].map({scene: k for k, scene in enumerate(which)})
    beads = beads.assign(frame=frame, density=scenes.density_per_um2[beads["scene"]], level=scenes.background_e[beads["scene"]])
    return in_frame(beads, scenes.images.shape[1] * scenes.pixel_size_um, scenes.pixel_size_um)


def calibrate(networks, psf: PSF, camera: Camera, scenes: Scenes, training: dict, refine: str) -> tuple[Localizer, np.ndarray]:
    """A localizer calibrated on a part of the held-out scenes, and the indices of the other scenes.

    Chosen are the networks' threshold and what makes a localization of the fit probable, on scenes like the movies, and the scale of
    the uncertainties, on these and scenes at rest. `psf`: at rest.
    """
    first, second = calibration_parts(len(scenes))
    part = np.arange(second)
    blur_um = scenes.blur_um[part]
    images, truth = _noisy(scenes, part, camera, training["seed"]), _truth(scenes, part)
    inside = truth[truth["z_um"].between(*psf.axial_range_um)].reset_index(drop=True)
    in_motion = inside[inside["frame"] < first].reset_index(drop=True)
    ranges = (tuple(training[k]) for k in ("photons", "background_e", "density_per_um2"))
    scales = {stage: SigmaScale.unknown() for stage in STAGES}
    start = Calibration(0.5, scales, {}, {}, psf.pixel_size_um, psf.axial_range_um, *ranges, refine)
    localizer = Localizer(*networks, psf, camera, start)
    found = localizer.networks(images[:first], CONTEXT_PROBABILITY)
    threshold = evaluation.best_threshold(truth[truth["frame"] < first], found, psf.axial_range_um)
    localizer = replace(localizer, calibration=replace(start, threshold=threshold))
    imaged = localizer.area_um2(images.shape[1:]), blur_um, psf.axial_range_um
    moving = _moving(localizer, blur_um)
    table = _by_movie(images, moving, lambda one, group, _: one.measured(group), repeat(None), "calibration, networks")
    scales["networks"] = _scale(inside, table, localizer.flagged(table, images.shape[1:]), *imaged, of_a_fit=False)
    acceptance, other_weight = {}, {}
    for search in _searches(refine):
        localizer = replace(localizer, search=search)
        moving = _moving(localizer, blur_um)
        table = _by_movie(images, moving, Localizer.fitted, _populations(images, moving), f"calibration, {search} search")
        reported = table[table["z_um"].between(*psf.axial_range_um) & (table["frame"] < first)].reset_index(drop=True)
        right = np.isin(np.arange(len(reported)), evaluation.match(in_motion, reported)[1])
        acceptance[search] = Acceptance.learn(reported, right, psf.axial_range_um).weights
        other_weight[search] = evaluation.other_weight(in_motion, reported)
        localizer = replace(localizer, calibration=replace(localizer.calibration, acceptance=acceptance, other_weight=other_weight))
        scales[search] = _scale(inside, table, localizer.judged(table, images.shape[1:]), *imaged, of_a_fit=True)
    return replace(localizer, calibration=replace(localizer.calibration, sigma_scale=scales)), np.arange(second, len(scenes))


def _searches(refine: str) -> tuple[str, ...]:
    """Which searches of the fit are judged."""
    return STAGES[1:] if refine == "mle" else ()


def _moving(localizer: Localizer, blur_um) -> list[Localizer]:
    """`localizer`, whose PSF is that at rest, for each image by its motion blur; images of the same blur share one."""
    by_blur = {blur: replace(localizer, psf=localizer.psf.blurred(blur)) for blur in np.unique(blur_um)}
    return [by_blur[blur] for blur in blur_um]


def _populations(images, localizers: list[Localizer]) -> list[Population]:
    """The brightness of the beads of each group of scenes that belong together, measured in them as in a movie."""
    groups = batches(len(images), HELD_OUT_GROUP, "brightness of the beads: scene")
    return [localizers[first].population(images[first : first + HELD_OUT_GROUP]) for first in groups]


def _by_movie(images, localizers: list[Localizer], locate, populations: Iterable[Population | None], what: str) -> pd.DataFrame:
    """Localizations of `locate(localizer, images, population)`, group by group."""
    parts = []
    for first, population in zip(batches(len(images), HELD_OUT_GROUP, f"{what}: scene"), populations):
        part = locate(localizers[first], images[first : first + HELD_OUT_GROUP], population)
        parts.append(part.assign(frame=part["frame"] + first))
    return pd.concat(parts, ignore_index=True)


def _scale(truth: pd.DataFrame, found: pd.DataFrame, flagged: pd.DataFrame, area_um2, blur_um, axial_range_um, of_a_fit) -> SigmaScale:
    """What errors tell of the uncertainties of `found`, in images of `area_um2` and `blur_um` (images,); `flagged`: the same, judged."""
    around = circumstances_of(found, area_um2, blur_um[found["frame"]], axial_range_um)  # of all, since flagged ones are neighbours too
    good = (flagged["flag"] == 0).to_numpy()
    found, around = found[good].reset_index(drop=True), around[good]
    i, j = evaluation.match(truth, found)
    places = [f"{axis}_um" for axis in AXES]
    errors = found[places].to_numpy()[j] - truth[places].to_numpy()[i]
    return SigmaScale.learn(around.iloc[j], errors, found[SIGMAS].to_numpy()[j], of_a_fit)


def assess_scenes(localizer: Localizer, scenes: Scenes, which, refine: str, seed: int) -> list[dict]:
    """Rows of evaluation.csv on the held-out scenes `which`, by stage: all, and over z, density and brightness."""
    images, truth = _noisy(scenes, which, localizer.camera, seed), _truth(scenes, which)
    low, high = localizer.calibration.axial_range_um
    blur_um = scenes.blur_um[which]
    bound = _bounds(_moving(localizer, blur_um)[0], truth)  # the scenes that judge have one blur
    truth = truth.assign(**{f"crlb_{a}_um": bound[:, k] for k, a in enumerate(AXES)})
    rows = []
    for stage in ("networks", *_searches(refine)):
        searching = _moving(replace(localizer, search=stage), blur_um)  # few, so that each prepares its matched filters once
        known = repeat(None) if stage == "networks" else _populations(images, searching)
        found = _by_movie(images, searching, Localizer.locate, known, f"evaluation, {stage}")
        found = found[found["flag"] == 0]
        for axis, column, edges in [
            ("all", None, [np.nan, np.nan]), ("z_um", "z_um", np.linspace(low, high, Z_BINS + 1)),
            ("density_per_um2", "density", np.geomspace(*localizer.calibration.density_per_um2, DENSITY_BINS + 1)),
            ("photons", "photons", np.geomspace(*localizer.calibration.photons, PHOTON_BINS + 1)),
        ]:  # fmt: skip
            for start, stop in zip(edges[:-1], edges[1:]):
                rows.append(binned(stage, axis, column, start, stop, truth, found, (low, high)))
    return rows


def binned(stage, axis, column, start, stop, truth, found, axial_range_um) -> dict:
    """One row: by density, whole frames belong to a bin; by z or brightness, beads do, with what was found of them, and by their own
    value, localizations of nothing.
    """
    if axis == "density_per_um2":
        frames = truth.loc[truth["density"].between(start, stop), "frame"].unique()
        truth, found = truth[truth["frame"].isin(frames)], found[found["frame"].isin(frames)]
    inside = truth[truth["z_um"].between(*axial_range_um)]
    pairs = pairs_table(inside, found)
    counts = jaccard(truth, found, axial_range_um)
    if axis in ("z_um", "photons"):
        _, j = evaluation.match(inside, found)
        false = np.delete(found[column].to_numpy(), j)
        pairs = pairs[pairs[column].between(start, stop)]
        matched, n_truth = len(pairs), int(inside[column].between(start, stop).sum())
        n_false = int(((false >= start) & (false <= stop)).sum())
        counts = evaluation.score(n_truth, matched + n_false, matched)
    return row("scenes", stage, axis, start, stop, counts, pairs)


def _bounds(localizer: Localizer, truth: pd.DataFrame) -> np.ndarray:
    """CRLB (beads, 3) of each bead as if it were alone; NaN outside the axial range.

    The bound varies smoothly: it is computed on a grid of z, brightness and background, and interpolated in its logarithm.
    """
    measured, asked = localizer.psf.z_range_um, localizer.calibration.axial_range_um
    z = np.linspace(max(measured[0], asked[0]), min(measured[1], asked[1]), 41)
    photons = np.geomspace(truth["photons"].min(), truth["photons"].max() + 1, 6)
    level = np.geomspace(truth["level"].min(), truth["level"].max() + 1e-3, 4)
    grid = np.stack([np.stack([crlb(localizer.psf, z, n, b, localizer.camera) for b in level], axis=1) for n in photons], axis=1)
    points = np.column_stack([truth["z_um"], np.log(truth["photons"]), np.log(truth["level"])])
    return np.exp(RegularGridInterpolator((z, np.log(photons), np.log(level)), np.log(grid), bounds_error=False)(points))


def assess_beads(localizer: Localizer, stacks: list[Stack], beads: pd.DataFrame, refine: str) -> list[dict]:
    """Rows of evaluation.csv for the held-out beads of all stacks, found in their planes as in movies: all, and over z.

    The truth of z is the stage position, counted from where the bead is in focus; of x and y, the place registered over the whole
    stack. `slope_z` is that of the found z against the stage position.
    """
    low, high = localizer.calibration.axial_range_um
    edges = np.linspace(low, high, Z_BINS + 1)
    places = [_stage_positions(stack, beads, (low, high)) for stack in stacks]
    truth = pd.concat(places, ignore_index=True)
    if truth.empty:
        return []
    pairs = [_planes_as_movie(localizer, stack, mine, beads, refine) for stack, mine in zip(stacks, places) if len(mine)]
    rows = []
    for stage in pairs[0]:
        together = pd.concat([part[stage] for part in pairs], ignore_index=True)
        for axis, start, stop in [("all", np.nan, np.nan), *(("z_um", a, b) for a, b in zip(edges[:-1], edges[1:]))]:
            chosen = together if axis == "all" else together[together["z_um"].between(start, stop)]
            n = len(truth) if axis == "all" else int(truth["z_um"].between(start, stop).sum())
            counts = {"n_truth": n, "n_found": len(chosen), "n_matched": len(chosen), "recall": len(chosen) / n if n else np.nan}
            out = row("held_out_beads", stage, axis, start, stop, counts, chosen)
            if len(chosen) >= FEWEST_MATCHED and axis == "all":
                out["slope_z"] = float(np.polyfit(chosen["z_um"], chosen["z_um"] + chosen["error_z_um"], 1)[0])
            rows.append(out)
    return rows


def _stage_positions(stack: Stack, beads: pd.DataFrame, axial_range_um) -> pd.DataFrame:
    """The held-out beads of a stack in each of its planes where they are within the axial range: `frame`, places, `photons`."""
    mine = beads[(beads["stack"] == stack.name) & (beads["role"] == "held_out")]
    planes = pd.DataFrame({"frame": np.arange(len(stack.stage_um)), "stage": stack.stage_um})
    truth = mine[["x_um", "y_um", "photons", "z_um"]].rename(columns={"z_um": "focus"}).merge(planes, how="cross")
    truth["z_um"] = truth["stage"] - truth["focus"]
    return truth[truth["z_um"].between(*axial_range_um)].reset_index(drop=True)


def like_the_others(known: Population, beads: pd.DataFrame, stack: str) -> Population:
    """`known` with the brightness of those `beads` (beads.csv) of a stack that made the PSF, where they are enough to tell it.

    Planes of a stack show the same few beads again and again: what is measured in them, as if each were another, is too sure of itself.
    """
    photons = beads.loc[(beads["stack"] == stack) & (beads["role"] == "psf"), "photons"].astype(float)
    if len(photons) < FEWEST_ALIKE:
        return known
    spread = photons.std() * np.sqrt(1.0 + 1.0 / len(photons)) / photons.mean()  # of one more bead about the mean of these
    return replace(known, photons=float(photons.mean()), photons_cv=float(np.clip(spread, LEAST_CV, LARGEST_CV)))


def _planes_as_movie(localizer: Localizer, stack: Stack, truth: pd.DataFrame, beads: pd.DataFrame, refine: str) -> dict[str, pd.DataFrame]:
    """Pairs (see `pairs_table`) of `truth` and what is found in the planes of a stack, by stage."""
    low, high = localizer.calibration.axial_range_um
    found = {}
    for stage in ("networks", *_searches(refine)):
        local, known = replace(localizer, camera=stack.camera, search=stage), None
        if stage != "networks":
            measured = local.population(stack.images[:: max(1, len(stack.images) // POPULATION_FRAMES)])
            known = like_the_others(measured, beads, stack.name)
        found[stage] = local.locate(stack.images, known)
    return {stage: pairs_table(truth, table[table["flag"] == 0], axial_um=high - low) for stage, table in found.items()}
