"""Beads of z-stacks: read, found, and judged."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, gaussian_filter1d, median_filter
from scipy.spatial import cKDTree
from skimage.feature import peak_local_max

from defocus3d.camera import Camera
from defocus3d.frames import InputError

FOOTPRINT_PX = (8, 40)  # bounds of the footprint's radius
ENCLOSED = 0.95  # share of a bead's photons within the footprint, at the ends of the range


class NoBeadError(InputError):
    """No bead of the stacks can serve; the message says why."""


@dataclass
class Stack:
    """A z-stack in photoelectrons.

    Attributes
    ----------
    name : str
        As the sheet gives it.
    images : array (planes, rows, columns), float32
        Photoelectrons.
    stage_um : array (planes,)
        Stage position of each plane, in the direction of growing z.
    camera : Camera
    saturation_e : float
        Pixels from here on are saturated.
    """

    name: str
    images: np.ndarray
    stage_um: np.ndarray
    camera: Camera
    saturation_e: float = np.inf
    background_e: np.ndarray = field(default=None)


def find(stack: Stack, detection_snr: float, spacing_px: int = 6) -> np.ndarray:
    """Rough places of all beads of a stack, pixels, shape (n, 2) as y, x; brightest first.

    A bead is a peak of the maximum over the planes, smoothed to the width of a sharp bead, that stands `detection_snr` times the
    noise above the local background.
    """
    sharp = gaussian_filter(stack.images, (0, 1.5, 1.5)).max(axis=0)
    relief = sharp - median_filter(sharp, size=31, mode="reflect")
    noise = 1.4826 * np.median(abs(relief - np.median(relief))) + 1e-6
    peaks = peak_local_max(relief, min_distance=spacing_px, threshold_abs=detection_snr * noise, exclude_border=False)
    strengths = relief[tuple(peaks.T)]
    # in a field of few beads the noise is far below the beads: what is 50 times dimmer than the typical bead is a ghost
    return peaks[strengths > 0.02 * np.median(strengths)] if len(peaks) else peaks.reshape(0, 2)


def measure_background(stack: Stack, places: np.ndarray, clear_px: int) -> np.ndarray:
    """Background of each plane in photoelectrons: the median of what is farther than `clear_px` from every bead."""
    rows, columns = stack.images.shape[1:]
    grid = np.indices((rows, columns)).reshape(2, -1).T
    far = cKDTree(places).query(grid, distance_upper_bound=clear_px)[0] == np.inf if len(places) else np.ones(len(grid), bool)
    if far.mean() < 0.02:  # crowded: the darkest tenth stands for the background
        return np.percentile(stack.images.reshape(len(stack.images), -1), 10, axis=1)
    return np.median(stack.images.reshape(len(stack.images), -1)[:, far], axis=1)


def focus_of(stack: Stack, place) -> tuple[float, float, float]:
    """Stage position of best focus in µm, and y, x in pixels there, of the bead near `place`; good to a fraction of a plane."""
    y, x = place
    top, left = max(y - 3, 0), max(x - 3, 0)
    box = stack.images[:, top : y + 4, left : x + 4]
    peak = gaussian_filter1d(gaussian_filter(box, (0, 1, 1)).max(axis=(1, 2)), 0.2 / abs(np.diff(stack.stage_um).mean()))
    best = int(np.argmax(peak))
    shift = 0.0
    if 0 < best < len(peak) - 1:
        before, at, after = peak[best - 1 : best + 2]
        shift = 0.5 * (before - after) / min(before - 2 * at + after, -1e-9)
    stage = np.interp(best + shift, np.arange(len(peak)), stack.stage_um)
    image = box[best] - np.median(stack.images[best])
    image = np.clip(image - 0.2 * image.max(), 0, None)
    rows, columns = np.indices(image.shape)
    total = max(image.sum(), 1e-9)
    return stage, top + (rows * image).sum() / total, left + (columns * image).sum() / total


def footprint(stacks: list[Stack], beads: pd.DataFrame, axial_range_um) -> int:
    """Radius in pixels that holds 95 % of a bead's photons at the ends of the axial range, within bounds.

    From the azimuthal mean of what lies closer to the bead than to any other.
    """
    widest = 0.0
    radius = np.arange(FOOTPRINT_PX[1] + 8)
    for end in axial_range_um:
        profile, count = np.zeros(len(radius)), np.zeros(len(radius))
        for bead in beads.itertuples():
            stack = stacks[bead.stack]
            plane = int(np.argmin(abs(stack.stage_um - bead.focus_um - end)))
            image = stack.images[plane] - stack.background_e[plane]
            rows, columns, distance, mine = territory(bead, beads, stack, len(radius) - 1)
            ring = np.minimum(distance[mine].astype(int), len(radius) - 1)
            profile += np.bincount(ring, image[rows, columns][mine], minlength=len(radius)) / bead.photons
            count += np.bincount(ring, minlength=len(radius))
        mean = np.where(count > 0, profile / np.maximum(count, 1), 0.0)
        enclosed = np.maximum.accumulate(np.cumsum((mean - np.median(mean[-8:])) * (radius + 0.5)))
        widest = max(widest, float(np.searchsorted(enclosed, ENCLOSED * enclosed[-1])))
    return int(np.clip(np.ceil(widest) + 3, *FOOTPRINT_PX))


def territory(bead, beads, stack, reach):
    """Rows, columns, distances of the square around a bead, and which of its pixels lie closer to it than to another bead."""
    y, x = int(round(bead.y_px)), int(round(bead.x_px))
    rows = slice(max(y - reach, 0), min(y + reach + 1, stack.images.shape[1]))
    columns = slice(max(x - reach, 0), min(x + reach + 1, stack.images.shape[2]))
    yy, xx = np.mgrid[rows, columns]
    distance = np.hypot(yy - bead.y_px, xx - bead.x_px)
    others = beads[(beads["stack"] == bead.stack) & (beads.index != bead.Index)]
    near = others[np.hypot(others["y_px"] - bead.y_px, others["x_px"] - bead.x_px) < 2 * reach]
    mine = np.ones(distance.shape, bool)
    for other in near.itertuples():
        mine &= distance < np.hypot(yy - other.y_px, xx - other.x_px)
    return rows, columns, distance, mine


def load_stack(row: dict, frames, camera: Camera) -> Stack:
    """The stack of a row of the sheet, read from opened `frames` of `camera`."""
    stage = row["z_direction"] * row["z_step_um"] * np.arange(len(frames))
    images = frames.read(0, len(frames))
    order = np.argsort(stage)
    return Stack(row["path"], images[order], stage[order], camera, frames.saturation_e(images))


def bead_table(beads: pd.DataFrame, stacks: list[Stack], pixel_size_um: float) -> pd.DataFrame:
    """`beads` as beads.csv has them: places in µm, `z_um` the stage position of best focus, `background_e` there."""
    level = [np.interp(b.focus_um, stacks[b.stack].stage_um, stacks[b.stack].background_e) for b in beads.itertuples()]
    return pd.DataFrame({
        "stack": [stacks[k].name for k in beads["stack"]], "bead": beads["bead"], "x_um": beads["x_px"] * pixel_size_um,
        "y_um": beads["y_px"] * pixel_size_um, "z_um": beads["focus_um"], "photons": beads["photons"], "background_e": level,
        "kept": beads["role"] != "rejected", "role": beads["role"], "reason": beads["reason"], "residual": beads["residual"],
    })  # fmt: skip


def candidates(stacks, detection_snr) -> pd.DataFrame:
    """All peaks of all stacks with first guesses; sets each stack's background."""
    rows = []
    for index, stack in enumerate(stacks):
        places = find(stack, detection_snr)
        stack.background_e = measure_background(stack, places, clear_px=FOOTPRINT_PX[1])
        for number, place in enumerate(places):
            focus, y, x = focus_of(stack, place)
            plane = int(np.argmin(abs(stack.stage_um - focus)))
            box = stack.images[plane, max(place[0] - 5, 0) : place[0] + 6, max(place[1] - 5, 0) : place[1] + 6]
            photons = float(np.clip((box - stack.background_e[plane]).sum(), 1, None))
            rows.append((index, number, x, y, focus, photons, 0.0, np.nan, ""))
    columns = ["stack", "bead", "x_px", "y_px", "focus_um", "photons", "extra_e", "residual", "reason"]
    if not rows:
        raise NoBeadError("no bead was found in the stacks: is the stack in focus somewhere, and is the camera's offset right? "
                          "Dim beads: lower beads.detection_snr")  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def judge(beads: pd.DataFrame, stacks, reach: int) -> None:
    """Set `reason` of beads that cannot serve: border, saturated, pair, out of focus range."""
    for index, stack in enumerate(stacks):
        mine = beads.index[beads["stack"] == index]
        if len(mine) == 0:
            continue
        places = beads.loc[mine, ["y_px", "x_px"]].to_numpy()
        rows, columns = stack.images.shape[1:]
        nearest = cKDTree(places).query(places, k=2)[0][:, 1] if len(places) > 1 else np.full(len(places), np.inf)
        for bead, (y, x), gap in zip(mine, places, nearest):
            row, column = int(round(y)), int(round(x))
            core = stack.images[:, max(row - 5, 0) : row + 6, max(column - 5, 0) : column + 6]
            focus = beads.at[bead, "focus_um"]
            if min(y, x, rows - 1 - y, columns - 1 - x) < 0.75 * reach:
                beads.at[bead, "reason"] = "border"
            elif core.max() >= stack.saturation_e:
                beads.at[bead, "reason"] = "saturated"
            elif gap < 0.9 * reach:
                beads.at[bead, "reason"] = "pair"
            elif not stack.stage_um[1] < focus < stack.stage_um[-2]:
                beads.at[bead, "reason"] = "not in focus within the stack"
    if not (beads["reason"] == "").any():
        counts = ", ".join(f"{n} {reason}" for reason, n in beads["reason"].value_counts().items())
        raise NoBeadError(f"none of {len(beads)} beads can be used ({counts}): record a stack of fewer, isolated, unsaturated beads")


def assign_roles(beads: pd.DataFrame, held_out_fraction: float, seed: int) -> None:
    """Set `role`: psf, held_out (drawn by `seed`; two beads at least are left for the PSF) or rejected."""
    beads["role"] = "rejected"
    kept = beads.index[beads["reason"] == ""].to_numpy()
    out = min(int(round(held_out_fraction * len(kept))), max(len(kept) - 2, 0))
    chosen = np.random.default_rng(seed).permutation(kept)
    beads.loc[chosen[out:], "role"] = "psf"
    beads.loc[chosen[:out], "role"] = "held_out"


def reject_odd(beads: pd.DataFrame) -> None:
    """Reject beads whose misfit or brightness stands out from the others'; never more than a third of those that are left.

    Where beads are much alike, half as much light again is a sign of two that touch.
    """
    serving = beads[beads["role"] != "rejected"]
    typical, brightness = serving["residual"].median(), serving["photons"].median()
    spread = 1.4826 * (serving["residual"] - typical).abs().median()
    odd = (serving["residual"] > typical + max(6 * spread, typical)) | ~np.isfinite(serving["residual"])
    away = (serving["photons"] - brightness).abs()
    odd |= (away > max(6 * 1.4826 * away.median(), 0.5 * brightness)) | (serving["photons"] < brightness / 3)
    worst = serving.assign(away=away)[odd].sort_values(["residual", "away"], ascending=False).index[: len(serving) // 3]
    beads.loc[worst, "role"] = "rejected"
    beads.loc[worst, "reason"] = "odd shape or brightness"
