"""The convolutional network: a crop around each lateral position in, the axial position and its uncertainty out."""

import numpy as np
import pandas as pd

CROP_PX = 48  # side of a crop: the core and most rings of a bead at the ends of the usual range
Z_SCALE_UM = 1.0  # the network's unit of z


def detection_map(detections: pd.DataFrame, count: int, shape, pixel_size_um: float) -> np.ndarray:
    """Probabilities of `detections` at their places, shared among the four nearest pixels; (count, rows, columns) float32."""
    rows, columns = shape
    out = np.zeros((count, rows + 1, columns + 1), np.float32)
    x = np.clip(detections["x_um"].to_numpy() / pixel_size_um, 0, columns - 1)
    y = np.clip(detections["y_um"].to_numpy() / pixel_size_um, 0, rows - 1)
    frame, p = detections["frame"].to_numpy(), detections["probability"].to_numpy()
    i, j = y.astype(int), x.astype(int)
    for di, wy in ((0, 1 - y + i), (1, y - i)):
        for dj, wx in ((0, 1 - x + j), (1, x - j)):
            np.add.at(out, (frame, i + di, j + dj), p * wy * wx)
    return out[:, :-1, :-1]


def crops(planes: np.ndarray, frame, x_px, y_px) -> np.ndarray:
    """Squares of `CROP_PX` pixels around places, (beads, 48, 48, channels), of `planes` (frames, rows, columns, channels).

    The place lies in the pixel right and below of the middle; what is outside of the image mirrors its border.
    """
    half = CROP_PX // 2
    padded = np.pad(planes, ((0, 0), (half, half), (half, half), (0, 0)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (CROP_PX, CROP_PX), axis=(1, 2))
    row, column = (np.clip(np.rint(a).astype(int), 0, n - 1) for a, n in ((y_px, planes.shape[1]), (x_px, planes.shape[2])))
    return np.ascontiguousarray(windows[frame, row, column].transpose(0, 2, 3, 1))


def depths(network, crop_batch: np.ndarray, batch: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """z and its uncertainty, µm, arrays (beads,), of crops. `network` gives the output for a batch, as in `fcn.detect`."""
    if len(crop_batch) == 0:
        return np.empty(0), np.empty(0)
    out = np.concatenate([np.asarray(network(crop_batch[k : k + batch])) for k in range(0, len(crop_batch), batch)])
    return out[:, 0].astype(float) * Z_SCALE_UM, np.exp(np.clip(out[:, 1], -5.0, 2.0)).astype(float) * Z_SCALE_UM
