"""Keras networks as ONNX graphs, for inference without Keras.

Layer by layer, since Keras's own export does not take upsampling of images whose size is not fixed. Within the graph the axes are
batch, channels, rows, columns, as ONNX has them; what goes in and comes out has the channels last, as in Keras.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 18, 9  # what ONNX Runtime reads since 1.15
TO_CHANNELS_FIRST, TO_CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]


def to_onnx(network, properties: dict[str, str]) -> onnx.ModelProto:
    """The functional Keras model `network` as ONNX model in float32, with texts about it in its `properties`.

    It has one input and one output; sizes that the model leaves open stay open. Raises ValueError for a layer of a kind, or with an
    option, that has no translation here.
    """
    graph = _Graph()
    names = {}
    for layer in network.layers:
        kind = type(layer).__name__
        if kind == "InputLayer":
            names[id(layer.output)] = graph.add("Transpose", ["input"], perm=TO_CHANNELS_FIRST)
            continue
        if kind not in TRANSLATIONS:
            raise ValueError(f"{layer.name}: layers of the kind {kind} have no translation to ONNX; add one to onnx_graph.py")
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        names[id(layer.output)] = TRANSLATIONS[kind](graph, layer, [names[id(tensor)] for tensor in inputs])
    (entrance,), (exit_,) = network.inputs, network.outputs
    last = names[id(exit_)]
    perm = TO_CHANNELS_LAST if len(exit_.shape) == 4 else list(range(len(exit_.shape)))
    graph.nodes.append(helper.make_node("Transpose", [last], ["output"], perm=perm))
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [size or f"{name}_{axis}" for axis, size in enumerate(tensor.shape)])]
        for name, tensor in (("input", entrance), ("output", exit_))
    ]
    body = helper.make_graph(graph.nodes, network.name, *ends, graph.weights)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="defocus3d", ir_version=IR_VERSION)
    helper.set_model_props(model, properties)
    onnx.checker.check_model(model)
    return model


class _Graph:
    """Nodes and weights as they are added; what a node gives is called by its place in the list."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def add(self, operator: str, inputs: list[str], **attributes) -> str:
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def weight(self, values, dtype=np.float32) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype), name))
        return name

    def activated(self, layer, name: str) -> str:
        kind = layer.activation.__name__
        if kind not in ACTIVATIONS:
            raise ValueError(f"{layer.name}: the activation {kind} has no translation to ONNX; add one to onnx_graph.py")
        return self.add(ACTIVATIONS[kind], [name]) if ACTIVATIONS[kind] else name


def _weights(layer) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias."""
    kernel, *bias = layer.get_weights()
    return kernel, bias[0] if bias else np.zeros(kernel.shape[-1])


def _convolution(graph: _Graph, layer, inputs: list[str]) -> str:
    if layer.data_format != "channels_last" or layer.groups != 1:
        raise ValueError(f"{layer.name}: only convolutions with channels last and without groups have a translation to ONNX")
    kernel, bias = _weights(layer)
    padding = {"same": "SAME_UPPER", "valid": "VALID"}[layer.padding]  # an odd row of padding comes last in both
    made = graph.add("Conv", [*inputs, graph.weight(kernel.transpose(3, 2, 0, 1)), graph.weight(bias)], auto_pad=padding,
                     kernel_shape=kernel.shape[:2], strides=layer.strides, dilations=layer.dilation_rate)  # fmt: skip
    return graph.activated(layer, made)


def _upsampling(graph: _Graph, layer, inputs: list[str]) -> str:
    if layer.interpolation != "nearest":
        raise ValueError(f"{layer.name}: only upsampling to the nearest has a translation to ONNX, not {layer.interpolation}")
    scales = graph.weight([1, 1, *layer.size])
    return graph.add("Resize", [*inputs, "", scales], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def _concatenation(graph: _Graph, layer, inputs: list[str]) -> str:
    axis = {-1: 1, 3: 1}.get(layer.axis) if len(layer.output.shape) == 4 else layer.axis
    if axis is None:
        raise ValueError(f"{layer.name}: images are joined along their channels only")
    return graph.add("Concat", inputs, axis=axis)


def _flattening(graph: _Graph, layer, inputs: list[str]) -> str:
    if len(layer.input.shape) == 4:
        inputs = [graph.add("Transpose", inputs, perm=TO_CHANNELS_LAST)]
    return graph.add("Flatten", inputs, axis=1)


def _dense(graph: _Graph, layer, inputs: list[str]) -> str:
    if len(layer.input.shape) != 2:
        raise ValueError(f"{layer.name}: only dense layers of vectors have a translation to ONNX")
    kernel, bias = _weights(layer)
    return graph.activated(layer, graph.add("Gemm", [*inputs, graph.weight(kernel), graph.weight(bias)]))


ACTIVATIONS = {"linear": None, "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softplus": "Softplus"}
TRANSLATIONS = {
    "Conv2D": _convolution,
    "UpSampling2D": _upsampling,
    "Concatenate": _concatenation,
    "Flatten": _flattening,
    "Dense": _dense,
}
