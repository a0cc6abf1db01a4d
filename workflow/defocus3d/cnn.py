"""The convolutional network: a crop around each lateral position in; its axial position, a correction of the lateral one, and their uncertainties out."""

import numpy as np
import pandas as pd

from defocus3d.fcn import LOG_SIGMA_LIMITS

CROP_PX = 48  # side of a crop: the core and most rings of a bead at the ends of the usual range
FEWEST_CROPS = 16  # that the network is given at a time
REACH_UM = 0.3  # it learns to place beads within this distance of what the FCN says


def centres(x_px, y_px, shape) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns, integer arrays, of the pixels of images of `shape` (rows, columns) on which crops for these places are centred."""
    row, column = (np.clip(np.rint(np.asarray(a)).astype(int), 0, n - 1) for a, n in zip((y_px, x_px), shape))
    return row, column


def detection_map(detections: pd.DataFrame, count: int, shape, pixel_size_um: float) -> np.ndarray:
    """Probabilities of `detections` at their pixels; (count, rows, columns) float32.

    Whole pixels: in training, the noise of the FCN's places is not that of the crop, and a network that saw fractions would learn to
    average two measurements, which in use are one.
    """
    out = np.zeros((count, *shape), np.float32)
    row, column = centres(detections["x_um"] / pixel_size_um, detections["y_um"] / pixel_size_um, shape)
    np.add.at(out, (detections["frame"].to_numpy(), row, column), detections["probability"].to_numpy())
    return out


def crops(planes: np.ndarray, frame, row, column) -> np.ndarray:
    """Squares of `CROP_PX` pixels around pixels, (beads, 48, 48, channels), of `planes` (frames, rows, columns, channels).

    The pixel is the one right and below of the middle; what is outside of the image mirrors its border.
    """
    half = CROP_PX // 2
    padded = np.pad(planes, ((0, 0), (half, half), (half, half), (0, 0)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (CROP_PX, CROP_PX), axis=(1, 2))
    return np.ascontiguousarray(windows[frame, row, column].transpose(0, 2, 3, 1))


def read(network, crop_batch: np.ndarray, batch: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Places and their uncertainties, two arrays (beads, 3), of crops: x and y in pixels from the crop's pixel, z in µm.

    `network` gives the output for a batch, as in `fcn.detect`.
    """
    if len(crop_batch) == 0:
        return np.empty((0, 3)), np.empty((0, 3))
    parts = [crop_batch[k : k + batch] for k in range(0, len(crop_batch), batch)]
    out = np.concatenate([np.asarray(network(filled_up(part)))[: len(part)] for part in parts]).astype(float)
    return out[:, :3], np.exp(np.clip(out[:, 3:], *LOG_SIGMA_LIMITS))


def filled_up(crop_batch: np.ndarray) -> np.ndarray:
    """`crop_batch` with zeros up to 16, 32, 64 ... crops: each number of crops that is new costs 20 ms and 2 MB, for good."""
    count = len(crop_batch)
    size = max(FEWEST_CROPS, 1 << (count - 1).bit_length())
    return np.concatenate([crop_batch, np.zeros((size - count, *crop_batch.shape[1:]), crop_batch.dtype)])
