"""The state of a training in a file, so that one that was cut off goes on as if it had not been."""

import json
from pathlib import Path
from zipfile import BadZipFile

import keras
import numpy as np

from defocus3d.files import whole


class Checkpoint:
    """Where a training stands: variables of network, optimizer and metrics, and a dict of plain values.

    Parameters
    ----------
    path : str or Path
        The file, .npz.
    key : str
        Of everything that the training depends on; what was saved under another key is no start for this one.
    """

    def __init__(self, path, key: str):
        self.path, self.key = Path(path), key

    def save(self, network, optimizer, progress: dict) -> None:
        """Write the state, in place of the one before."""
        values = [keras.ops.convert_to_numpy(variable) for variable in _variables(network, optimizer)]
        told = json.dumps({"key": self.key, "progress": progress})
        with whole(self.path) as aside:
            np.savez(aside, told=told, **{str(index): value for index, value in enumerate(values)})

    def progress(self) -> dict | None:
        """The plain values that were saved, or None where there is nothing, or something for another training."""
        try:
            with np.load(self.path, allow_pickle=False) as file:
                told = json.loads(str(file["told"]))
        except (OSError, ValueError, KeyError, BadZipFile):  # absent, or damaged: begin anew
            return None
        return told["progress"] if told["key"] == self.key else None

    def restore(self, network, optimizer) -> None:
        """Give network and optimizer, which must be built, the state that was saved."""
        with np.load(self.path, allow_pickle=False) as file:
            for index, variable in enumerate(_variables(network, optimizer)):
                variable.assign(file[str(index)])

    def clear(self) -> None:
        """Remove the file: the training is done."""
        self.path.unlink(missing_ok=True)


def _variables(network, optimizer) -> list:
    return [*network.variables, *optimizer.variables, *network.metrics_variables]
