"""The two networks as Keras models, and what they learn by. What is needed to use trained ones is in `fcn`, `cnn` and `network`."""

import keras
import numpy as np
from keras import layers, ops

from defocus3d import files
from defocus3d.card import KEY, Card
from defocus3d.cnn import CROP_PX
from defocus3d.fcn import DX, DY, LOG_SIGMA_LIMITS, LOG_SIGMA_X, LOGIT
from defocus3d.onnx_graph import to_onnx

AXIS_WEIGHTS = 0.3, 0.3, 0.4  # of x, y, z in the CNN's loss


def build_fcn(seed: int) -> keras.Model:
    """An untrained FCN: (batch, rows, columns, 1) in, (batch, rows / 4, columns / 4, 5) out.

    The input comes from `fcn.prepare`; rows and columns are multiples of 16. The output holds, per cell, the logit of a bead being
    there, the offset of the bead from the cell's centre (x, y, in cells) and the logarithms of its uncertainties (in cells). Four
    levels with skip connections (Ronneberger et al. 2015, MICCAI, 234) see a neighbourhood wider than the widest bead.
    """
    keras.utils.set_random_seed(seed)
    image = keras.Input((None, None, 1), name="image")
    x = _convolution(_convolution(image, 16, strides=2, size=5), 24)
    x = fine = _convolution(_convolution(_convolution(x, 48, strides=2), 48), 48)
    x = middle = _convolution(_convolution(_convolution(x, 96, strides=2), 96), 96)
    x = _convolution(_convolution(_convolution(x, 128, strides=2), 128), 96)
    x = layers.Concatenate()([layers.UpSampling2D()(x), middle])
    x = _convolution(_convolution(x, 96), 48)
    x = layers.Concatenate()([layers.UpSampling2D()(x), fine])
    x = _convolution(_convolution(x, 64), 64)
    # beads are rare: starting from few spares the first hundred steps
    bias = keras.initializers.Constant([-3.5, 0.0, 0.0, -1.5, -1.5])
    cells = layers.Conv2D(5, 1, bias_initializer=bias, dtype="float32", name="cells")(x)
    return keras.Model(image, cells, name="fcn")


def build_cnn(seed: int) -> keras.Model:
    """An untrained CNN: crops (batch, 48, 48, 2) in, (batch, 6) out: x and y (pixels, from the crop's pixel), z (µm), and the logarithms
    of their uncertainties.

    Channel 0 is the image as the FCN sees it, channel 1 the map of the FCN's detections around: what is a ring of this bead and what
    belongs to a neighbour cannot be told from the image alone. x and y are asked again since a place is known best together with its
    height: with coma, the light of a bead moves sideways as it goes out of focus.
    """
    keras.utils.set_random_seed(seed)
    crop = keras.Input((CROP_PX, CROP_PX, 2), name="crop")
    x = _convolution(crop, 24, strides=2, size=5)
    x = _convolution(_convolution(_convolution(x, 48, strides=2), 48), 48)
    x = _convolution(_convolution(x, 96, strides=2), 96)
    x = layers.Flatten()(x)
    x = layers.Dense(192, activation="relu")(x)
    x = layers.Dense(64, activation="relu")(x)
    place = layers.Dense(6, dtype="float32", name="place")(x)
    return keras.Model(crop, place, name="cnn")


def save(network: keras.Model, card: Card, keras_path, onnx_path) -> None:
    """Write a trained network for Keras, and as ONNX with its card."""
    with files.whole(keras_path) as aside:
        network.save(aside)
    files.write(onnx_path, to_onnx(network, {KEY: card.to_text()}).SerializeToString())


def _convolution(x, channels, strides=1, size=3):
    return layers.Conv2D(channels, size, strides=strides, padding="same", activation="relu")(x)


def fcn_loss(truth, output):
    """Cross-entropy of the cells plus the negative log-likelihood of the positions, per bead; a scalar tensor.

    The likelihood is a Laplace distribution: crowds make outliers, to which a Gaussian would give all its attention.
    """
    bead = truth[..., 0]
    logit = output[..., LOGIT]
    entropy = ops.maximum(logit, 0.0) - logit * bead + ops.log1p(ops.exp(-ops.abs(logit)))
    error = ops.abs(output[..., DX : DY + 1] - truth[..., 1:3])
    log_sigma = ops.clip(output[..., LOG_SIGMA_X:], *LOG_SIGMA_LIMITS)
    position = ops.sum(error * ops.exp(-log_sigma) * np.sqrt(2.0) + log_sigma, axis=-1)
    return (ops.sum(entropy) + 0.2 * ops.sum(bead * position)) / (ops.sum(bead) + 1.0)


def cnn_loss(truth, output):
    """Negative log-likelihood of the place under Laplace distributions, mean over the batch; robust to crops that deceive.

    z is harder to learn, and has a larger weight; with thrice that of x, x was not learned at all.
    """
    log_sigma = ops.clip(output[:, 3:], *LOG_SIGMA_LIMITS)
    error = ops.abs(output[:, :3] - truth)
    return ops.mean(ops.sum((error * ops.exp(-log_sigma) * np.sqrt(2.0) + log_sigma) * np.float32(AXIS_WEIGHTS), axis=-1))
