"""The networks give the same numbers as ONNX, by OpenVINO, as by Keras."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from defocus3d import fcn, models, onnx_graph
from defocus3d.camera import Camera
from defocus3d.card import KEY, Card, CardError
from defocus3d.network import FULL, HALF, Network
from defocus3d.onnx_graph import to_onnx

CARD = Card(0.1, (-1.0, 1.0), Camera(), (1000.0, 5000.0), (5.0, 50.0), (0.01, 0.2), 0.05)
ROUNDING = 1e-4  # of outputs of order one, by float32 sums of some thousand terms in another order


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def with_biases(model, rng):
    """The model with biases that are not zero, so that none can be forgotten."""
    model.set_weights([w + rng.normal(0, 0.1, w.shape) if w.ndim == 1 else w for w in model.get_weights()])
    return model


def through_a_file(model, folder, properties=None, threads=1, precision=FULL):
    path = folder / "network.onnx"
    path.write_bytes(to_onnx(model, {KEY: CARD.to_text()} if properties is None else properties).SerializeToString())
    return Network.load(path, threads, precision)


@pytest.mark.parametrize("shape", [(64, 64), (16, 48), (50, 70), (9, 203)])
def test_the_fcn_answers_alike_at_any_size(shape, rng, tmp_path):
    model = with_biases(models.build_fcn(1), rng)
    images = rng.normal(0, 1, (3, *shape, 1)).astype(np.float32)
    expected = fcn.detect(model.predict_on_batch, images)
    found = fcn.detect(through_a_file(model, tmp_path), images)
    assert found.shape == expected.shape and found.dtype == np.float32
    assert expected.std() > 0.05
    assert abs(found - expected).max() < ROUNDING


def test_the_cnn_answers_alike_for_any_number_of_crops(rng, tmp_path):
    model = with_biases(models.build_cnn(2), rng)
    network = through_a_file(model, tmp_path, threads=2)
    for count in (1, 7):
        crops = rng.normal(0, 1, (count, 48, 48, 2)).astype(np.float32)
        expected = model.predict_on_batch(crops)
        assert expected.std() > 0.01
        assert abs(network(crops) - expected).max() < ROUNDING


def test_a_network_trained_in_half_precision_is_exported_in_full(rng, tmp_path):
    """As `training.fit` does: the weights, which are float32 in any case, in a network that computes in float32."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        trained = with_biases(models.build_cnn(3), rng)
    finally:
        keras.config.set_dtype_policy("float32")
    bare = models.build_cnn(0)
    bare.set_weights(trained.get_weights())
    crops = rng.normal(0, 1, (5, 48, 48, 2)).astype(np.float32)
    assert abs(through_a_file(bare, tmp_path)(crops) - bare.predict_on_batch(crops)).max() < ROUNDING


@pytest.mark.parametrize("precision", [FULL, HALF, None])
def test_answers_do_not_depend_on_threads_nor_on_what_came_before(precision, rng, tmp_path):
    model = with_biases(models.build_fcn(1), rng)
    one, two = (through_a_file(model, tmp_path, threads=threads, precision=precision) for threads in (1, 2))
    images = rng.normal(0, 1, (6, 64, 48, 1)).astype(np.float32)
    first, kept = one(images), one(images).copy()
    one(2 * images)
    assert np.array_equal(first, kept)
    assert np.array_equal(first, one(images)) and np.array_equal(first, two(images))


def test_half_precision_is_close_to_full(rng, tmp_path):
    model = with_biases(models.build_cnn(4), rng)
    crops = rng.normal(0, 1, (20, 48, 48, 2)).astype(np.float32)
    full, half = (through_a_file(model, tmp_path, precision=precision)(crops) for precision in (FULL, HALF))
    assert abs(half - full).max() < 0.03 * abs(full).max()  # eight bits of each number, averaged over many


def test_the_card_comes_back(tmp_path):
    assert through_a_file(models.build_cnn(1), tmp_path).card == CARD


def test_a_network_without_a_card_is_refused(tmp_path):
    with pytest.raises(CardError):
        through_a_file(models.build_cnn(1), tmp_path, properties={})


def small(layer):
    image = keras.Input((8, 8, 2))
    return keras.Model(image, layer(image))


@pytest.mark.parametrize(
    ("layer", "word"),
    [
        (keras.layers.UpSampling2D(interpolation="bilinear"), "bilinear"),
        (keras.layers.Conv2D(2, 3, activation="elu"), "elu"),
        (keras.layers.Conv2D(2, 3, groups=2), "groups"),
        (keras.layers.Dense(3), "vectors"),
        (keras.layers.LayerNormalization(), "LayerNormalization"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_what_has_no_translation_is_refused(layer, word):
    with pytest.raises(ValueError, match=word):
        to_onnx(small(layer), {})


def test_localizing_and_judging_import_no_keras():
    """Each job of a thousand movies would pay for it."""
    code = f"""
import sys
sys.path.insert(0, {str(Path(onnx_graph.__file__).parents[1])!r})
import defocus3d.localization, defocus3d.assessment, defocus3d.network
print([name for name in ("keras", "tensorflow", "onnx") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
