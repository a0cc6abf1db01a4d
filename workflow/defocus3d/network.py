"""A trained network, ready for use by OpenVINO: no TensorFlow, which takes seconds and half a gigabyte to import."""

import numpy as np
import openvino

from defocus3d.card import KEY, Card

HALF, FULL = "bf16", "f32"


class Network:
    """A function of a batch: images (batch, rows, columns, channels) in, the network's output, float32 array, out.

    Attributes
    ----------
    card : Card
        What the network was trained for.
    """

    def __init__(self, compiled: openvino.CompiledModel, card: Card):
        self._request = compiled.create_infer_request()
        self.card = card

    @classmethod
    def load(cls, path, threads: int = 1, precision: str | None = None) -> "Network":
        """The network of an .onnx file, to be run by `threads` threads. Raises `card.CardError` for a network without a card.

        `precision` of its arithmetic, `HALF` or `FULL`: by default half where the processor has instructions for it. Sums are in float32
        in any case, and errors get larger or smaller by a percent or two.
        """
        core = openvino.Core()
        model = core.read_model(path)
        card = Card.from_text(_property(model, KEY))
        if precision is None:
            precision = HALF if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else FULL
        options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
        options["ENABLE_CPU_PINNING"] = False  # two jobs would be bound to the same cores
        return cls(core.compile_model(model, "CPU", options), card)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        (output,) = self._request.infer([np.ascontiguousarray(images, np.float32)], share_inputs=True).values()
        return output.copy()  # the next batch is written in its place


def _property(model: openvino.Model, key: str) -> str:
    """What an ONNX file says of itself under `key`; empty where it says nothing."""
    told = ["framework", key]
    return model.get_rt_info(told).astype(str) if model.has_rt_info(told) else ""
