"""Training both networks: fresh noise at each step, a schedule, and a guard against failed starts."""

import logging
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from defocus3d import cnn, fcn, models
from defocus3d.camera import Camera
from defocus3d.scenes import Scenes

logger = logging.getLogger(__name__)

VALIDATION_SHARE = 0.03  # of the scenes; noisy once, to follow the loss
WARM_UP = 0.05  # share of the steps in which the learning rate rises
MATCH_UM = 0.3  # a detection this close to a bead shows that bead
BEYOND_UM = 0.6  # the CNN tells heights apart this far beyond the axial range; what is farther is taught as this
CURVE_COLUMNS = ["network", "step", "loss", "validation_loss", "learning_rate", "elapsed_s"]


class TrainingFailedError(RuntimeError):
    """The loss never fell, not even from another start."""


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Warm-up, then half a cosine to a hundredth of `peak`."""
    rising = max(1, int(WARM_UP * steps))
    if step < rising:
        return peak * (step + 1) / rising
    done = (step - rising) / max(1, steps - rising)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def precision() -> str:
    """"bfloat16" where the processor multiplies it in hardware, which halves the training time; else "float32"."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return "float32"
    return "bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"


def fit(build, loss, draw, validation, steps: int, peak: float, seed: int, name: str, checkpoint=None, attempts: int = 3):
    """A trained network, and its curve as DataFrame `CURVE_COLUMNS`.

    `build(seed)` gives an untrained network, `draw(rng)` a batch (inputs, truth), `validation` one such pair. A start whose validation
    loss is not finite or not lower after a fifth of the steps than at the beginning is given up, and the next seed tried.
    Raises TrainingFailedError after `attempts` of them. What a `checkpoint` (`checkpoints.Checkpoint`) has of this training is gone on
    with, to the same numbers as in one go.
    """
    saved = checkpoint and checkpoint.progress()
    for attempt in range(saved["attempt"] if saved else 0, attempts):
        keras.config.set_dtype_policy("mixed_bfloat16" if precision() == "bfloat16" else "float32")
        network = build(seed + 1000 * attempt)
        keras.config.set_dtype_policy("float32")
        start = saved if saved and saved["attempt"] == attempt else {"attempt": attempt, "step": 0, "curve": [], "elapsed_s": 0.0}
        curve = _run(network, loss, draw, validation, steps, peak, np.random.default_rng([seed, attempt]), name, checkpoint, start)
        if curve is not None:
            bare = build(seed)  # without the optimizer, whose state would treble the file
            bare.set_weights(network.get_weights())
            return bare, pd.DataFrame(curve, columns=CURVE_COLUMNS)
        logger.warning("%s: the loss does not fall; starting again from another seed", name)
    raise TrainingFailedError(f"{name}: the loss did not fall in {attempts} starts; lower training.learning_rate, and look at the scenes")


def _run(network, loss, draw, validation, steps, peak, rng, name, checkpoint, progress):
    """The rows of the curve, or None where training failed. `progress`: where to begin."""
    ahead = ThreadPoolExecutor(1)  # draws the next batch while the network learns from this one
    optimizer = keras.optimizers.AdamW(peak, weight_decay=1e-4, clipnorm=1.0)
    network.compile(optimizer, loss, jit_compile=False)
    start, curve, losses = time.monotonic() - progress["elapsed_s"], [tuple(row) for row in progress["curve"]], []
    every = max(1, steps // 25)
    first = float(network.test_on_batch(*validation))
    if progress["step"]:
        optimizer.build(network.trainable_variables)
        checkpoint.restore(network, optimizer)
        rng.bit_generator.state, first = progress["rng"], progress["first"]
        logger.info("%s: going on after step %d of %d", name, progress["step"], steps)
    batch = ahead.submit(draw, rng)
    for step in range(progress["step"], steps):
        optimizer.learning_rate = rate = learning_rate(step, steps, peak)
        now, before = batch.result(), rng.bit_generator.state  # the state that the next batch is drawn from
        batch = ahead.submit(draw, rng)
        losses.append(float(network.train_on_batch(*now)))
        if (step + 1) % every == 0 or step + 1 == steps:
            judged = float(network.test_on_batch(*validation))
            elapsed = time.monotonic() - start
            curve.append((name, step + 1, float(np.mean(losses)), judged, rate, round(elapsed, 1)))
            left = elapsed / (step + 1) * (steps - step - 1)
            logger.info("%s: step %d of %d, loss %.3f, validation %.3f, %.0f s left", name, step + 1, steps, np.mean(losses), judged, left)
            losses = []
            late = step + 1 >= steps / 5
            if not np.isfinite(judged) or (late and steps >= 500 and judged > first):
                return None
            if checkpoint:
                done = {"step": step + 1, "curve": curve, "elapsed_s": elapsed, "rng": before, "first": first}
                checkpoint.save(network, optimizer, {"attempt": progress["attempt"], **done})
    return curve


def split(scenes: Scenes) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the scenes for training and for validation."""
    held = max(2, int(VALIDATION_SHARE * len(scenes)))
    return np.arange(held, len(scenes)), np.arange(held)


def scene_targets(scenes: Scenes) -> np.ndarray:
    """The FCN's truth for all scenes, (scenes, rows / 4, columns / 4, 3)."""
    beads = scenes.beads[fcn.is_target(scenes.beads["z_um"], scenes.axial_range_um)]
    beads = beads.sort_values("photons", kind="stable")
    pixel = scenes.pixel_size_um
    return fcn.targets(beads["x_um"] / pixel, beads["y_um"] / pixel, beads["scene"], scenes.images.shape)


def train_fcn(scenes: Scenes, camera: Camera, settings: dict, checkpoint=None) -> tuple[keras.Model, pd.DataFrame]:
    """The trained FCN and its curve. `settings`: fcn_steps, fcn_batch, learning_rate, seed."""
    truth = scene_targets(scenes)
    learn, validate = split(scenes)

    def noisy(which, rng):
        return fcn.prepare(camera.detect(scenes.images[which].astype(np.float32), rng), camera), truth[which]

    def draw(rng):
        return noisy(np.sort(rng.choice(learn, settings["fcn_batch"], replace=len(learn) < settings["fcn_batch"])), rng)

    validation = noisy(validate, np.random.default_rng([settings["seed"], 7]))
    steps, rate, seed = settings["fcn_steps"], settings["learning_rate"], settings["seed"]
    return fit(models.build_fcn, models.fcn_loss, draw, validation, steps, rate, seed, "fcn", checkpoint)


def seen_beads(scenes: Scenes, network, camera: Camera, seed: int, lowest_probability: float = 0.2) -> pd.DataFrame:
    """Detections of the FCN on noisy scenes with the truth of the bead each shows: columns of `fcn.read_cells` and `true_z_um`.

    Detections that show no bead within `MATCH_UM` are left in, with `true_z_um` NaN: they are part of the context of others.
    """
    pieces = []
    for start in range(0, len(scenes), 64):
        images = scenes.images[start : start + 64].astype(np.float32)
        prepared = fcn.prepare(camera.detect(images, np.random.default_rng([seed, start])), camera)
        found = fcn.read_cells(fcn.detect(network.predict_on_batch, prepared), scenes.pixel_size_um, lowest_probability)
        pieces.append(found.assign(frame=found["frame"] + start))
    found = pd.concat(pieces, ignore_index=True)
    found["true_z_um"] = np.nan
    apart = 100.0  # µm between scenes, on a third axis
    beads = scenes.beads
    if len(found) and len(beads):
        tree = cKDTree(np.column_stack([beads["x_um"], beads["y_um"], apart * beads["scene"]]))
        distance, index = tree.query(np.column_stack([found["x_um"], found["y_um"], apart * found["frame"]]), k=6,
                                     distance_upper_bound=MATCH_UM)  # fmt: skip
        # of several beads at one place, the sharpest is what the network saw
        z = np.append(beads["z_um"].to_numpy(), np.inf)[index]
        best = np.argmin(np.where(np.isfinite(distance), abs(z), np.inf), axis=1)
        chosen = z[np.arange(len(z)), best]
        found["true_z_um"] = np.where(np.isfinite(distance).any(axis=1), chosen, np.nan)
    return found


def train_cnn(scenes: Scenes, network_fcn, camera: Camera, settings: dict, checkpoint=None) -> tuple[keras.Model, pd.DataFrame]:
    """The trained CNN and its curve; crops lie where the FCN found beads. `settings`: cnn_steps, cnn_batch, learning_rate, seed.

    Beads beyond the axial range that the FCN reports all the same keep their z, up to `BEYOND_UM`, so that the answer can say so.
    """
    found = seen_beads(scenes, network_fcn, camera, settings["seed"])
    low, high = scenes.axial_range_um
    found["true_z_um"] = np.clip(found["true_z_um"], low - BEYOND_UM, high + BEYOND_UM)
    clean, frame, z = clean_crops(scenes, found)
    held = split(scenes)[1].max()
    learn, validate = np.flatnonzero(frame > held), np.flatnonzero(frame <= held)
    if len(learn) < 10 or len(validate) < 1:
        raise TrainingFailedError(f"cnn: the FCN found only {len(z)} beads in {len(scenes)} scenes; train it longer (training.fcn_steps)")
    logger.info("cnn: %d beads as the FCN finds them", len(z))
    level = np.array([np.median(camera.stabilise(image)) for image in scenes.images])

    def noisy(which, rng):
        window = clean[which].astype(np.float32)
        stable = camera.stabilise(camera.detect(window[..., 0], rng))
        window[..., 0] = (stable - level[frame[which], None, None]) / fcn.SIGNAL_SCALE
        return window, z[which, None]

    def draw(rng):
        return noisy(rng.choice(learn, settings["cnn_batch"]), rng)

    validation = noisy(validate[:2000], np.random.default_rng([settings["seed"], 8]))
    steps, rate, seed = settings["cnn_steps"], settings["learning_rate"], settings["seed"] + 1
    return fit(models.build_cnn, models.cnn_loss, draw, validation, steps, rate, seed, "cnn", checkpoint)


def clean_crops(scenes: Scenes, found: pd.DataFrame):
    """Noise-free crops (beads, 48, 48, 2), float16, their scenes, and true z in the CNN's unit, of detections that show a bead."""
    pieces = []
    shape = scenes.images.shape[1:]
    for start in range(0, len(scenes), 256):
        part = found[(found["frame"] >= start) & (found["frame"] < start + 256)].assign(frame=lambda t: t["frame"] - start)
        images = scenes.images[start : start + 256]
        maps = cnn.detection_map(part, len(images), shape, scenes.pixel_size_um).astype(np.float16)
        part = part[part["true_z_um"].notna()]
        places = (part[c].to_numpy() / scenes.pixel_size_um for c in ("x_um", "y_um"))
        pieces.append(cnn.crops(np.stack([images, maps], axis=-1), part["frame"].to_numpy(), *places))
    used = found[found["true_z_um"].notna()]
    z = (used["true_z_um"].to_numpy() / cnn.Z_SCALE_UM).astype(np.float32)
    return np.concatenate(pieces), used["frame"].to_numpy(), z
