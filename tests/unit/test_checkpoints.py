"""A training that was cut off goes on to the same numbers; files appear whole or not at all."""

import keras
import numpy as np
import pandas as pd
import pytest

from defocus3d.checkpoints import Checkpoint
from defocus3d.files import whole
from defocus3d.training import fit

STEPS = 100


class Killed(BaseException):
    pass


def build(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])


def noisy_sums(rng):
    inputs = rng.normal(size=(16, 3)).astype(np.float32)
    return inputs, inputs.sum(axis=1, keepdims=True) + rng.normal(0, 0.1, (16, 1)).astype(np.float32)


def train(checkpoint=None, batches=10**9):
    """Trains, but is killed when it asks for one batch more."""
    left = iter(range(batches))

    def draw(rng):
        if next(left, None) is None:
            raise Killed
        return noisy_sums(rng)

    validation = noisy_sums(np.random.default_rng(9))
    return fit(build, "mse", draw, validation, STEPS, 0.01, seed=5, name="net", checkpoint=checkpoint)


def cut_off(path, key="this"):
    with pytest.raises(Killed):
        train(Checkpoint(path, key), batches=62)


def assert_same(one, other):
    for a, b in zip(one[0].get_weights(), other[0].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    pd.testing.assert_frame_equal(one[1].drop(columns="elapsed_s"), other[1].drop(columns="elapsed_s"), check_exact=True)


def test_a_training_that_was_cut_off_goes_on_to_the_same_numbers(tmp_path, caplog):
    cut_off(tmp_path / "net.npz")
    with caplog.at_level("INFO"):
        resumed = train(Checkpoint(tmp_path / "net.npz", "this"), batches=50)  # too few to begin anew
    assert "going on after step 60 of 100" in caplog.text
    assert_same(resumed, train())


def test_the_state_of_another_training_is_no_start(tmp_path):
    cut_off(tmp_path / "net.npz", key="another")
    assert Checkpoint(tmp_path / "net.npz", "this").progress() is None
    assert_same(train(Checkpoint(tmp_path / "net.npz", "this")), train())


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), whole(path) as aside:
        aside.write_text("hal")
        raise OSError("the disk is full")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with whole(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]
