"""The fully convolutional network: whole images in, lateral positions out."""

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

CELL_PX = 4  # side of an output cell: beads in one cell are told apart by no network with one answer a cell
MULTIPLE_PX = 16  # images are padded to a multiple of this: the coarsest level sees a sixteenth of the pixels
DETECTION_MARGIN_UM = 0.5  # beads this far beyond the axial range are found too: they are told by their z, and the fit accounts for their light
SIGNAL_SCALE = 4.0  # stabilised images are divided by this: brings both dim rings and sharp beads within reach of the first layer
MERGE_UM = 0.15  # cells that point to places closer than this speak of one bead

LOG_SIGMA_LIMITS = -6.0, 2.0  # least and most of the logarithm of an uncertainty, of both networks

# channels of the output
LOGIT, DX, DY, LOG_SIGMA_X, LOG_SIGMA_Y = range(5)


def prepare(images_e, camera):
    """Network input, float32 (n, rows, columns, 1), of images in photoelectrons (n, rows, columns).

    Noise is brought to one scale, and each image's own median taken off.
    """
    stable = camera.stabilise(images_e)
    stable -= medians(stable)[:, None, None]
    return (stable / SIGNAL_SCALE)[..., None]


def medians(images: np.ndarray) -> np.ndarray:
    """The median of each of `images` (n, rows, columns): NumPy's own, which asks for two places at once, takes nine times as long."""
    pixels = images.reshape(len(images), images.shape[1] * images.shape[2])
    middle = pixels.shape[1] // 2
    parted = np.partition(pixels, middle, axis=1)
    upper = parted[:, middle]
    return upper if pixels.shape[1] % 2 else (upper + parted[:, :middle].max(axis=1)) / 2


def is_target(z_um, axial_range_um):
    """Which beads are to be found: those within the axial range, or beyond it by at most the margin."""
    return (z_um >= axial_range_um[0] - DETECTION_MARGIN_UM) & (z_um <= axial_range_um[1] + DETECTION_MARGIN_UM)


def targets(x_px, y_px, image, shape) -> np.ndarray:
    """What the network should say: (images, rows / 4, columns / 4, 3) float32 holding bead or not, offset in x and y in cells.

    `x_px`, `y_px`, `image` list the beads to be found. Of two in one cell the last remains.
    """
    count, rows, columns = shape[0], shape[1] // CELL_PX, shape[2] // CELL_PX
    out = np.zeros((count, rows, columns, 3), np.float32)
    u, v = (np.asarray(x_px) + 0.5) / CELL_PX, (np.asarray(y_px) + 0.5) / CELL_PX
    inside = (u >= 0) & (v >= 0) & (u < columns) & (v < rows)
    u, v, image = u[inside], v[inside], np.asarray(image)[inside]
    i, j = v.astype(int), u.astype(int)
    out[image, i, j] = np.stack([np.ones_like(u), u - j - 0.5, v - i - 0.5], axis=1)
    return out


def detect(network, images, batch: int = 16) -> np.ndarray:
    """The network's cells for prepared `images` of any size (n, rows, columns, 1): (n, ceil(rows / 4), ceil(columns / 4), 5).

    `network` gives the output for a batch (`network.Network`, or a Keras model's `predict_on_batch`).
    """
    n, rows, columns, _ = images.shape
    pad = ((0, 0), (0, -rows % MULTIPLE_PX), (0, -columns % MULTIPLE_PX), (0, 0))
    padded = np.pad(images, pad, mode="symmetric" if min(rows, columns) >= MULTIPLE_PX else "edge")
    cells = [np.asarray(network(padded[k : k + batch])) for k in range(0, n, batch)]
    return np.concatenate(cells)[:, : -(-rows // CELL_PX), : -(-columns // CELL_PX)]


def read_cells(cells: np.ndarray, pixel_size_um: float, lowest_probability: float) -> pd.DataFrame:
    """Detections of all images, DataFrame `frame`, `x_um`, `y_um`, `sigma_x_um`, `sigma_y_um`, `probability`.

    A bead at the border of cells is announced by several of them, each with a part of the probability: cells that point to one place
    are merged, strongest first, their probabilities added (at most 1) and their positions averaged.
    """
    probability = 1.0 / (1.0 + np.exp(-cells[..., LOGIT].astype(float)))
    frame, row, column = np.nonzero(probability > min(0.05, lowest_probability))
    found = cells[frame, row, column].astype(float)
    p = probability[frame, row, column]
    x = ((column + 0.5 + found[:, DX]) * CELL_PX - 0.5) * pixel_size_um
    y = ((row + 0.5 + found[:, DY]) * CELL_PX - 0.5) * pixel_size_um
    sigma = np.exp(np.clip(found[:, LOG_SIGMA_X:], *LOG_SIGMA_LIMITS)) * CELL_PX * pixel_size_um
    table = pd.DataFrame({"frame": frame, "x_um": x, "y_um": y, "sigma_x_um": sigma[:, 0], "sigma_y_um": sigma[:, 1],
                          "probability": p})  # fmt: skip
    merged = _merge(table)
    return merged[merged["probability"] >= lowest_probability].reset_index(drop=True)


def _merge(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with detections of one frame closer than `MERGE_UM` made one."""
    if table.empty:
        return table
    table = table.sort_values("probability", ascending=False, kind="stable").reset_index(drop=True)
    places = table[["x_um", "y_um"]].to_numpy(copy=True)
    # frames are set apart along a third axis, so that one tree serves all
    tree = cKDTree(np.column_stack([places, table["frame"] * 10.0 * MERGE_UM]))
    first, second = (tree.query_pairs(MERGE_UM, output_type="ndarray").T) if len(table) > 1 else (np.empty(0, int),) * 2
    partners: dict[int, list[int]] = {}
    for a, b in zip(np.minimum(first, second), np.maximum(first, second)):
        partners.setdefault(int(a), []).append(int(b))
    taken = np.zeros(len(table), bool)
    p = table["probability"].to_numpy().copy()
    for strong in sorted(partners):
        if taken[strong]:
            continue
        group = [strong] + [b for b in partners[strong] if not taken[b]]
        weights = p[group]
        places[strong] = weights @ places[group] / weights.sum()
        p[strong] = min(weights.sum(), 1.0)
        taken[group[1:]] = True
    table["x_um"], table["y_um"], table["probability"] = places[:, 0], places[:, 1], p
    return table[~taken].sort_values(["frame", "y_um", "x_um"], kind="stable").reset_index(drop=True)
