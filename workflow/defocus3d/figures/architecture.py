"""A network's structure, read from a Keras model's public attributes: boxes and arrows, placed and ready to be drawn."""

from dataclasses import dataclass, field

import numpy as np

COLUMN_GAP = 0.55  # between boxes, in units of the picture
LEVEL_DROP = 1.5  # from one resolution down to the next
LANE_GAP, INPUT_GAP = 0.55, 1.0  # between branches that run side by side; inputs have their names below
ARITHMETIC = ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")


@dataclass
class Box:
    """One block of a network: a feature map, or a vector, and the layers that make it.

    Attributes
    ----------
    kind : str
        input, convolution, downsampling, upsampling, concatenation, addition, dense, pooling (to a vector) or other.
    channels : int
    scale : float
        Resolution by that of the first input; 0 for a vector.
    size : tuple or None
        Rows and columns where the model fixes them.
    detail : str
        The kernel, or the factor of a change of resolution.
    repeats : int
        Layers alike, one after another, that this box stands for.
    sources : list of int
        Boxes that feed this one, as indices.
    output : bool
        Whether the network's output is made here.
    rank, x, y : column, and centre of the box.
    """

    name: str
    kind: str
    channels: int
    scale: float
    size: tuple | None
    detail: str = ""
    repeats: int = 1
    sources: list = field(default_factory=list)
    output: bool = False
    rank: int = 0
    x: float = 0.0
    y: float = 0.0

    @property
    def level(self) -> int:
        """0 at the input's resolution, 1 at half, 2 at a quarter, and so on."""
        return int(round(-np.log2(self.scale))) if self.scale > 0 else 0

    @property
    def width(self) -> float:
        """The width drawn: grows with the logarithm of the channels."""
        return 0.22 if self.scale == 0 else 0.14 + 0.055 * np.log2(max(self.channels, 1))

    @property
    def height(self) -> float:
        """The height drawn: with the square root of the resolution, or with the logarithm of a vector's length."""
        if self.scale == 0:
            return 0.3 + 0.13 * np.log2(max(self.channels, 1))
        return float(np.clip(1.3 * np.sqrt(self.scale), 0.28, 1.3))


def read_architecture(model, columns_by_level: bool) -> list:
    """The boxes of a functional or sequential Keras model, in the order of computation, placed.

    `columns_by_level`: lower the boxes with their resolution, which makes a U of an encoder and a decoder; otherwise they stand in a row.
    """
    boxes = _merge_repeats(_boxes(model))
    _place(boxes, columns_by_level)
    return boxes


def _flat(tensors) -> list:
    """Tensors as a list, from one tensor, a list, or a dict of them."""
    if isinstance(tensors, dict):
        return list(tensors.values())
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]


def _kind(layer) -> str | None:
    """The kind of box that a layer is drawn as; None for layers that change a map without a box of their own."""
    name = type(layer).__name__
    if name == "InputLayer":
        return "input"
    if name.startswith("Global"):
        return "pooling"
    if "Transpose" in name and "Conv" in name or "UpSampling" in name:
        return "upsampling"
    if "Pooling" in name:
        return "downsampling"
    if "Conv" in name:
        return "downsampling" if _largest(getattr(layer, "strides", 1)) > 1 else "convolution"
    if name == "Dense":
        return "dense"
    if name == "Concatenate":
        return "concatenation"
    if name in ARITHMETIC:
        return "addition"
    return None


def _largest(value) -> int:
    """The largest of a number or of several."""
    return int(np.max(value)) if value is not None else 1


def _factor(layer, kind: str) -> float:
    """The factor on the resolution that a layer brings."""
    if kind == "downsampling":
        return 1.0 / _largest(layer.strides if hasattr(layer, "strides") else 1)
    if kind == "upsampling":
        return float(_largest(layer.size if hasattr(layer, "size") else layer.strides))
    return 1.0


def _detail(layer, kind: str) -> str:
    """Kernel and change of resolution in words."""
    kernel = getattr(layer, "kernel_size", None)
    text = "×".join(str(side) for side in kernel) if kernel else ""
    factor = _factor(layer, kind)
    if factor < 1:
        return f"{text} ↓{1 / factor:.0f}".strip()
    return f"{text} ↑{factor:.0f}".strip() if factor > 1 else text


def _boxes(model) -> list:
    """One box a layer that is worth one; the others are taken into the box that feeds them."""
    made_by = {}  # id of a tensor -> index of the box that it belongs to
    boxes = []
    for layer in _in_order(model):
        inputs = [] if type(layer).__name__ == "InputLayer" else _flat(layer.input)
        sources = list(dict.fromkeys(made_by[id(tensor)] for tensor in inputs if id(tensor) in made_by))
        kind = _kind(layer)
        if kind in ("concatenation", "addition") and len(sources) == 1:
            kind = None  # slices of one map, put together again
        if kind is None and len(sources) != 1:
            kind = "other" if sources else "input"
        if kind is None:
            index = sources[0]
        else:
            index = len(boxes)
            boxes.append(_box(layer, kind, sources, boxes))
        made_by.update((id(tensor), index) for tensor in _flat(layer.output))
    for tensor in _flat(model.outputs):
        if id(tensor) in made_by:
            boxes[made_by[id(tensor)]].output = True
    return boxes


def _in_order(model) -> list:
    """The model's layers, each after those that feed it."""
    waiting = list(getattr(model, "operations", model.layers))
    known, ordered = set(), []
    while waiting:
        ready = [
            layer
            for layer in waiting
            if type(layer).__name__ == "InputLayer" or all(id(tensor) in known for tensor in _flat(layer.input))
        ]
        ready = ready or waiting  # tensors from outside: keep the model's own order
        for layer in ready:
            known.update(id(tensor) for tensor in _flat(layer.output))
        ordered += ready
        done = {id(layer) for layer in ready}
        waiting = [layer for layer in waiting if id(layer) not in done]
    return ordered


def _box(layer, kind: str, sources: list, boxes: list) -> Box:
    """The box of one layer, its resolution followed from its sources."""
    shape = tuple(_flat(layer.output)[0].shape)
    size = tuple(shape[1:3]) if len(shape) == 4 and None not in shape[1:3] else None
    if len(shape) != 4:
        scale = 0.0
    elif sources and boxes[sources[0]].scale > 0:
        scale = boxes[sources[0]].scale * _factor(layer, kind)
        if size and boxes[0].size:
            scale = size[0] / boxes[0].size[0]
    else:
        scale = size[0] / boxes[0].size[0] if boxes and size and boxes[0].size else 1.0
    detail = type(layer).__name__ if kind == "other" else _detail(layer, kind)
    return Box(layer.name, kind, int(shape[-1] or 0), scale, size, detail, sources=sources)


def _merge_repeats(boxes: list) -> list:
    """The boxes with rows of alike convolutions, or dense layers, drawn as one that says how many."""
    users = [sum(index in box.sources for box in boxes) for index in range(len(boxes))]
    new_index, kept = {}, []
    for index, box in enumerate(boxes):
        before = boxes[box.sources[0]] if len(box.sources) == 1 else None
        alike = before is not None and box.kind in ("convolution", "dense") and _signature(before) == _signature(box)
        if alike and users[box.sources[0]] == 1 and not before.output:
            new_index[index] = new_index[box.sources[0]]
            kept[new_index[index]].repeats += 1
            kept[new_index[index]].output = box.output
            continue
        new_index[index] = len(kept)
        box.sources = list(dict.fromkeys(new_index[source] for source in box.sources))
        kept.append(box)
    return kept


def _signature(box: Box) -> tuple:
    """What two boxes have in common that may be drawn as one."""
    return box.kind, box.channels, box.scale, box.detail


def _place(boxes: list, columns_by_level: bool) -> None:
    """Set rank, x and y of each box."""
    for box in boxes:
        box.rank = 1 + max((boxes[source].rank for source in box.sources), default=-1)
    for index, box in enumerate(boxes):
        users = [user.rank for user in boxes if index in user.sources]
        if box.kind == "input" and users:
            box.rank = min(users) - 1  # an input that joins late stands beside where it joins
    left = 0.0
    for rank in range(max(box.rank for box in boxes) + 1):
        column = [box for box in boxes if box.rank == rank]
        widest = max((box.width for box in column), default=0.0)
        for box in column:
            box.x = left + widest / 2
        left += widest + COLUMN_GAP
        _stack(boxes, column, columns_by_level)


def _stack(boxes: list, column: list, columns_by_level: bool) -> None:
    """Set y of one column's boxes: level with what feeds them, and beside each other where branches run in parallel."""
    for box in column:
        lanes = [boxes[source].y - _level_y(boxes[source], columns_by_level) for source in box.sources]
        box.y = _level_y(box, columns_by_level) + (float(np.mean(lanes)) if lanes else 0.0)
    by_level = {}
    for box in column:
        by_level.setdefault(box.level if columns_by_level else 0, []).append(box)
    for together in by_level.values():
        together.sort(key=lambda box: -box.y)
        gap = max(box.height for box in together) + (INPUT_GAP if any(box.kind == "input" for box in together) else LANE_GAP)
        middle = np.mean([box.y for box in together])
        if any(upper.y - lower.y < gap - 1e-6 for upper, lower in zip(together, together[1:], strict=False)):
            for order, box in enumerate(together):
                box.y = middle + gap * ((len(together) - 1) / 2 - order)


def _level_y(box: Box, columns_by_level: bool) -> float:
    """The height at which a level of resolution is drawn."""
    return -LEVEL_DROP * box.level if columns_by_level else 0.0
