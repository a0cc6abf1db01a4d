"""A trained network, ready for use by ONNX Runtime: no TensorFlow, which takes seconds and half a gigabyte to import."""

import numpy as np
import onnxruntime

from defocus3d.card import KEY, Card


class Network:
    """A function of a batch: images (batch, rows, columns, channels) in, the network's output, float32 array, out.

    Attributes
    ----------
    card : Card
        What the network was trained for.
    """

    def __init__(self, session: onnxruntime.InferenceSession):
        self._session = session
        self._input = session.get_inputs()[0].name
        self.card = Card.from_text(session.get_modelmeta().custom_metadata_map.get(KEY, ""))

    @classmethod
    def load(cls, path, threads: int = 1) -> "Network":
        """The network of an .onnx file, to be run by `threads` threads. Raises `card.CardError` for a network without a card."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.use_deterministic_compute = True
        # threads that wait sleep: others use the cores meanwhile, for the fit or for another movie
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return cls(onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        (output,) = self._session.run(None, {self._input: np.ascontiguousarray(images, np.float32)})
        return output
