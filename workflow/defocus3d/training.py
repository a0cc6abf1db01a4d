"""Training both networks: fresh noise at each step, a schedule, and a guard against failed starts."""

import logging
import math
import os
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from defocus3d import cnn, fcn, models
from defocus3d.camera import Camera
from defocus3d.scenes import Scenes

logger = logging.getLogger(__name__)

VALIDATION_SHARE, VALIDATION_CROPS = 0.03, 2000  # of the scenes, and of their beads; noisy once, to follow the loss
CNN_RATE = 0.5  # largest learning rate of the CNN, as a share of the FCN's
WARM_UP = 0.05  # share of the steps in which the learning rate rises
DRAWING_THREADS = 8  # at most: enough for a GPU
LEAST_SIDE_PX = 64  # of scenes that parts are cut of; smaller ones are used whole
SAME_UM = 0.1  # of beads that are nearly as close to a detection as the closest, the sharpest is shown
BEYOND_UM = 0.6  # the CNN tells heights apart this far beyond the axial range; what is farther is taught as this
TRUE = ["true_x_um", "true_y_um", "true_z_um"]
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
        curve = _run(network, loss, partial(_draw, draw, seed, attempt), validation, steps, peak, name, checkpoint, start)
        if curve is not None:
            bare = build(seed)  # without the optimizer, whose state would treble the file
            bare.set_weights(network.get_weights())
            return bare, pd.DataFrame(curve, columns=CURVE_COLUMNS)
        logger.warning("%s: the loss does not fall; starting again from another seed", name)
    raise TrainingFailedError(f"{name}: the loss did not fall in {attempts} starts; lower training.learning_rate, and look at the scenes")


def _draw(draw, seed: int, attempt: int, step: int):
    """The batch of a step: which depends on nothing but these numbers, so that batches can be drawn beside each other."""
    return draw(np.random.default_rng([seed, 11, attempt, step]))  # 11: unlike the numbers that scenes are drawn by


def _run(network, loss, batch_of, validation, steps, peak, name, checkpoint, progress):
    """The rows of the curve, or None where training failed. `batch_of(step)` gives its batch; `progress`: where to begin."""
    optimizer = keras.optimizers.AdamW(peak, weight_decay=1e-4, clipnorm=1.0)
    network.compile(optimizer, loss, jit_compile=keras.backend.backend() == "jax")  # TensorFlow's compiler trains slower on processors
    start, curve, losses = time.monotonic() - progress["elapsed_s"], [tuple(row) for row in progress["curve"]], []
    every = max(1, steps // 25)
    first = float(network.test_on_batch(*validation))
    if progress["step"]:
        optimizer.build(network.trainable_variables)
        checkpoint.restore(network, optimizer)
        first = progress["first"]
        logger.info("%s: going on after step %d of %d", name, progress["step"], steps)
    for step, batch in enumerate(_ahead(batch_of, range(progress["step"], steps)), progress["step"]):
        optimizer.learning_rate = rate = learning_rate(step, steps, peak)
        losses.append(float(network.train_on_batch(*batch)))
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
                done = {"step": step + 1, "curve": curve, "elapsed_s": elapsed, "first": first}
                checkpoint.save(network, optimizer, {"attempt": progress["attempt"], **done})
    return curve


def _ahead(batch_of, steps: range):
    """The batches of `steps`, in their order, drawn while the network learns from those before."""
    threads = max(1, min(DRAWING_THREADS, _cores() // 2))  # on two cores the network needs the rest
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(pool.submit(batch_of, step) for step in steps[:threads])
        for step in steps:
            batch = waiting.popleft().result()
            if step + threads < steps.stop:
                waiting.append(pool.submit(batch_of, step + threads))
            yield batch


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def split(scenes: Scenes) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the scenes for training and for validation."""
    held = max(2, int(VALIDATION_SHARE * len(scenes)))
    return np.arange(held, len(scenes)), np.arange(held)


class Examples:
    """What the FCN learns from: noise-free parts of scenes, cut out at random, so that beads lie elsewhere within the cells each time.

    Parameters
    ----------
    scenes : Scenes
    which : array of int
        Those of them that are used.
    """

    def __init__(self, scenes: Scenes, which: np.ndarray):
        self._images, self._which, pixel, side = scenes.images, which, scenes.pixel_size_um, scenes.images.shape[1]
        # within a scene the brighter later: of two beads in a cell, the last is the target
        beads = scenes.beads[fcn.is_target(scenes.beads["z_um"], scenes.axial_range_um)].sort_values(["scene", "photons"], kind="stable")
        self._places = np.stack([beads["x_um"] / pixel, beads["y_um"] / pixel], axis=1)
        self._first = np.searchsorted(beads["scene"], np.arange(len(scenes) + 1))
        self.side_px = side - fcn.MULTIPLE_PX * (side >= LEAST_SIDE_PX)
        self._room = side - self.side_px + 1

    def draw(self, count: int, rng) -> tuple[np.ndarray, np.ndarray]:
        """`count` images (count, side, side), float32, and their targets (see `fcn.targets`)."""
        scenes = rng.choice(self._which, count, replace=len(self._which) < count)
        corners = rng.integers(self._room, size=(count, 2))
        parts = [self._images[k, i : i + self.side_px, j : j + self.side_px] for k, (i, j) in zip(scenes, corners)]
        places = [self._places[self._first[k] : self._first[k + 1]] - (j, i) for k, (i, j) in zip(scenes, corners)]
        images, image = np.stack(parts).astype(np.float32), np.repeat(np.arange(count), [len(p) for p in places])
        return images, fcn.targets(*np.concatenate(places).T, image, images.shape)


def train_fcn(scenes: Scenes, camera: Camera, settings: dict, checkpoint=None) -> tuple[keras.Model, pd.DataFrame]:
    """The trained FCN and its curve. `settings`: fcn_steps, fcn_batch, learning_rate, seed."""
    learn, validate = split(scenes)

    def noisy(examples, count, rng):
        images, truth = examples.draw(count, rng)
        return fcn.prepare(camera.detect(images, rng), camera), truth

    draw = partial(noisy, Examples(scenes, learn), settings["fcn_batch"])
    validation = noisy(Examples(scenes, validate), len(validate), np.random.default_rng([settings["seed"], 7]))
    steps, rate, seed = settings["fcn_steps"], settings["learning_rate"], settings["seed"]
    return fit(models.build_fcn, models.fcn_loss, draw, validation, steps, rate, seed, "fcn", checkpoint)


def seen_beads(scenes: Scenes, network, camera: Camera, seed: int, lowest_probability: float = 0.2) -> pd.DataFrame:
    """Detections of the FCN on noisy scenes with the truth of the bead each shows: columns of `fcn.read_cells`, and `TRUE`.

    Detections that show no bead within `cnn.REACH_UM` are left in, with a NaN for truth: they are part of the context of others.
    """
    pieces = []
    for start in range(0, len(scenes), 64):
        images = scenes.images[start : start + 64].astype(np.float32)
        prepared = fcn.prepare(camera.detect(images, np.random.default_rng([seed, 12, start])), camera)
        found = fcn.read_cells(fcn.detect(network.predict_on_batch, prepared), scenes.pixel_size_um, lowest_probability)
        pieces.append(found.assign(frame=found["frame"] + start))
    found = pd.concat(pieces, ignore_index=True)
    found[TRUE] = np.nan
    apart = 100.0  # µm between scenes, on a third axis
    beads = scenes.beads
    if len(found) and len(beads):
        tree = cKDTree(np.column_stack([beads["x_um"], beads["y_um"], apart * beads["scene"]]))
        distance, index = tree.query(np.column_stack([found["x_um"], found["y_um"], apart * found["frame"]]), k=6,
                                     distance_upper_bound=cnn.REACH_UM)  # fmt: skip
        # of several beads at one place, the sharpest is what the network saw
        z = np.append(beads["z_um"].to_numpy(), np.inf)[index]
        best = np.argmin(np.where(distance < distance[:, :1] + SAME_UM, abs(z), np.inf), axis=1)
        places = np.vstack([beads[["x_um", "y_um", "z_um"]].to_numpy(), np.full(3, np.nan)])
        found[TRUE] = places[index[np.arange(len(index)), best]]
    return found


def train_cnn(scenes: Scenes, network_fcn, camera: Camera, settings: dict, checkpoint=None) -> tuple[keras.Model, pd.DataFrame]:
    """The trained CNN and its curve; crops lie where the FCN found beads. `settings`: cnn_steps, cnn_batch, learning_rate, seed.

    Beads beyond the axial range that the FCN reports all the same keep their z, up to `BEYOND_UM`, so that the answer can say so.
    """
    found = seen_beads(scenes, network_fcn, camera, settings["seed"])
    low, high = scenes.axial_range_um
    found["true_z_um"] = np.clip(found["true_z_um"], low - BEYOND_UM, high + BEYOND_UM)
    clean, frame, place = clean_crops(scenes, found)
    held = split(scenes)[1].max()
    learn, validate = np.flatnonzero(frame > held), np.flatnonzero(frame <= held)
    if len(learn) < 10 or len(validate) < 1:
        raise TrainingFailedError(f"cnn: the FCN found only {len(place)} beads in {len(scenes)} scenes; train it longer (training.fcn_steps)")
    logger.info("cnn: %d beads as the FCN finds them", len(place))
    level = np.array([np.median(camera.stabilise(image)) for image in scenes.images])

    def noisy(which, rng):
        window = clean[which].astype(np.float32)
        stable = camera.stabilise(camera.detect(window[..., 0], rng))
        window[..., 0] = (stable - level[frame[which], None, None]) / fcn.SIGNAL_SCALE
        return window, place[which]

    def drawn(which, chances, count, rng):
        return noisy(which[np.searchsorted(chances, rng.random(count))], rng)

    draw = partial(drawn, learn, even_chances(frame[learn]), settings["cnn_batch"])
    validation = drawn(validate, even_chances(frame[validate]), VALIDATION_CROPS, np.random.default_rng([settings["seed"], 8]))
    steps, rate, seed = settings["cnn_steps"], CNN_RATE * settings["learning_rate"], settings["seed"] + 1
    return fit(models.build_cnn, models.cnn_loss, draw, validation, steps, rate, seed, "cnn", checkpoint)


def even_chances(scene: np.ndarray) -> np.ndarray:
    """Cumulative chances (beads,), up to 1, of beads whose scenes are `scene` (beads,), by which each scene counts alike.

    Drawn without regard to their scenes, nearly all would come from crowds, and the network would hardly learn how precisely a bead that is
    alone can be placed.
    """
    _, which, of_each = np.unique(scene, return_inverse=True, return_counts=True)
    chances = np.cumsum(1.0 / of_each[which])
    return chances / chances[-1]


def clean_crops(scenes: Scenes, found: pd.DataFrame):
    """Noise-free crops (beads, 48, 48, 2), float16, their scenes, and true places (beads, 3) as `cnn.read` gives them, float32.

    Of detections that show a bead.
    """
    pieces, pixel, shape = [], scenes.pixel_size_um, scenes.images.shape[1:]
    used = found[found["true_z_um"].notna()].copy()
    used["row"], used["column"] = cnn.centres(used["x_um"] / pixel, used["y_um"] / pixel, shape)
    for start in range(0, len(scenes), 256):
        images = scenes.images[start : start + 256]
        context, part = (t[(t["frame"] >= start) & (t["frame"] < start + 256)].assign(frame=lambda t: t["frame"] - start) for t in (found, used))
        maps = cnn.detection_map(context, len(images), shape, pixel).astype(np.float16)
        pieces.append(cnn.crops(np.stack([images, maps], axis=-1), *(part[c].to_numpy() for c in ("frame", "row", "column"))))
    place = np.stack([used["true_x_um"] / pixel - used["column"], used["true_y_um"] / pixel - used["row"], used["true_z_um"]], axis=1)
    return np.concatenate(pieces), used["frame"].to_numpy(), place.astype(np.float32)
