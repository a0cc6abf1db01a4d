"""The two networks drawn from their Keras models, blocks as boxes and what flows between them as arrows."""

import textwrap

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Patch, Polygon

from defocus3d.figures import style
from defocus3d.figures.architecture import Box, read_architecture

KIND_COLOURS = {
    "input": "#D9D9D9",
    "convolution": "#F2C879",
    "downsampling": "#E08A5B",
    "upsampling": "#7FBFE0",
    "concatenation": "#B9DDB0",
    "addition": "#8CC7A8",
    "pooling": "#D9A6C6",
    "dense": "#8E9FD1",
    "other": "#EFEFEF",
}
KIND_WORDS = {"pooling": "pooling to a vector", "dense": "dense layer", "other": "other layer"}
SLANT = 0.16  # how far the boxes reach to the back
UNIT_IN = 0.62  # inches of paper by unit of the picture
FCN_OUTPUT = "per cell:\nprobability,\noffset x, y,\nσ of x, y"
CNN_OUTPUT = "z, correction\nof x, y,\nσ of x, y, z"


@style.house_style
def draw_fcn(model, image=None, maps: dict | None = None, pixel_size_um: float | None = None, output: str = FCN_OUTPUT) -> Figure:
    """The fully convolutional network, its resolutions one below another, with an example of what goes in and out.

    Parameters
    ----------
    model : keras.Model
        Only its public attributes are read.
    image : array, shape (rows, columns), optional
        An example input; with `pixel_size_um` it has a scale bar.
    maps : dict of str to array (rows, columns), optional
        Example outputs by name, drawn beside the network.
    output : str
        What the network gives, written at its end.
    """
    inputs = {"input": image} if image is not None else {}
    return _draw(model, "FCN: whole image in, lateral positions out", True, inputs, maps or {}, pixel_size_um, output)


@style.house_style
def draw_cnn(model, crops: dict | None = None, pixel_size_um: float | None = None, output: str = CNN_OUTPUT) -> Figure:
    """The convolutional network, a row of stages from crop and context to the place, with an example of what goes in.

    `crops`: dict of name to array (rows, columns), the channels or inputs of one example. See `draw_fcn` for the rest.
    """
    return _draw(model, "CNN: crop around each position in, place out", False, crops or {}, {}, pixel_size_um, output)


def _draw(model, title, columns_by_level, inputs, maps, pixel_size_um, output) -> Figure:
    """The figure of one network with its examples beside it."""
    boxes = read_architecture(model, columns_by_level)
    left, right, bottom, top = _bounds(boxes, columns_by_level)
    side = 1.35  # inches of an example picture
    width = UNIT_IN * (right - left)
    examples = side * bool(inputs) + side * bool(maps)
    height = max(UNIT_IN * (top - bottom), side * max(len(inputs), len(maps), 1)) + 0.8
    # At least a page wide, so that the text keeps its size by the report's other pictures.
    figure = style.new_figure(height, max(width + examples, style.WIDTH_IN))
    widths = ([side] if inputs else []) + [max(width, style.WIDTH_IN - examples)] + ([side] if maps else [])
    grid = figure.add_gridspec(1, len(widths), width_ratios=widths)
    axes = figure.add_subplot(grid[1 if inputs else 0])
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_aspect("equal")
    axes.set_axis_off()
    if columns_by_level:
        _write_levels(axes, boxes, left)
    _draw_arrows(axes, boxes)
    for box in boxes:
        _draw_box(axes, box, names=sum(other.kind == "input" for other in boxes) > 1)
    _write_output(axes, boxes, output)
    if inputs:
        _examples(figure, grid[0], inputs, pixel_size_um, style.IMAGE)
    if maps:
        _examples(figure, grid[len(widths) - 1], maps, None, "viridis")
    figure.suptitle(f"{title} ({model.count_params():,} parameters)", x=0.01, ha="left", fontsize=10)
    figure.legend(handles=_legend(boxes), loc="outside lower center", ncols=5)
    return figure


def _bounds(boxes: list, columns_by_level: bool) -> tuple:
    """Left, right, bottom and top of the picture around the boxes, their labels and the arrows that pass over them."""
    margin = 1.25 if columns_by_level else 0.4
    left = min(box.x - box.width / 2 for box in boxes) - margin
    right = max(box.x + box.width / 2 for box in boxes) + SLANT + 1.75
    bottom = min(box.y - box.height / 2 for box in boxes) - 0.45
    routes = [_route_height(boxes, source, box) for box in boxes for source in _passing(boxes, box)]
    top = max([box.y + box.height / 2 for box in boxes] + routes) + 0.5
    return left, right, bottom, top


def _draw_box(axes, box: Box, names: bool) -> None:
    """Draw one box as a slab, channels above it and kernel below."""
    colour = matplotlib.colors.to_rgb(KIND_COLOURS[box.kind])
    left, right = box.x - box.width / 2, box.x + box.width / 2
    low, high = box.y - box.height / 2, box.y + box.height / 2
    slant = SLANT if box.scale > 0 else 0.5 * SLANT
    edge = {"edgecolor": style.INK, "linewidth": 0.7, "joinstyle": "round", "closed": True, "zorder": 3}
    axes.add_patch(Polygon([(left, low), (right, low), (right, high), (left, high)], facecolor=colour, **edge))
    lighter, darker = 0.45 + 0.55 * np.array(colour), 0.82 * np.array(colour)
    axes.add_patch(
        Polygon(
            [(left, high), (right, high), (right + slant, high + slant), (left + slant, high + slant)], facecolor=lighter, **edge
        )
    )
    axes.add_patch(
        Polygon(
            [(right, low), (right + slant, low + slant), (right + slant, high + slant), (right, high)], facecolor=darker, **edge
        )
    )
    axes.text(box.x + slant / 2, high + slant + 0.06, f"{box.channels}", ha="center", va="bottom", fontsize=8, zorder=5)
    lines = [f"{box.repeats} × {box.detail}" if box.repeats > 1 and box.detail else box.detail]
    if box.repeats > 1 and not box.detail:
        lines = [f"{box.repeats} ×"]
    if box.size and (box.kind in ("input", "downsampling", "upsampling")):
        lines.append(f"{box.size[0]}×{box.size[1]}")
    if box.kind == "input" and names:
        lines.insert(0, textwrap.fill(box.name.replace("_", " "), 10))
    text = "\n".join(line for line in lines if line)
    axes.text(box.x, low - 0.07, text, ha="center", va="top", fontsize=7, color="#444444", zorder=5, linespacing=1.05)


def _passing(boxes: list, box: Box) -> list:
    """Sources of `box` whose arrow would run through other boxes, and so is led above them."""
    return [source for source in box.sources if _between(boxes, boxes[source], box) and abs(boxes[source].y - box.y) < 0.3]


def _between(boxes: list, source: Box, box: Box) -> list:
    """Boxes in the straight way from `source` to `box`."""
    low, high = sorted((source.y, box.y))
    return [
        other
        for other in boxes
        if source.rank < other.rank < box.rank
        and other.y + other.height / 2 > low - 0.1
        and other.y - other.height / 2 < high + 0.1
    ]


def _route_height(boxes: list, source: int, box: Box) -> float:
    """How high an arrow from `source` has to rise to pass over what stands between it and `box`."""
    over = [*_between(boxes, boxes[source], box), boxes[source], box]
    return max(other.y + other.height / 2 for other in over) + SLANT + 0.38


def _draw_arrows(axes, boxes: list) -> None:
    """Draw what flows from box to box; connections that skip over boxes are dashed."""
    for box in boxes:
        for source in box.sources:
            start, skip = boxes[source], box.rank - boxes[source].rank > 1
            looks = {"color": style.BLUE if skip else style.INK, "lw": 1.1, "zorder": 2}
            if skip:
                looks["linestyle"] = (0, (4, 2))
            head = {"arrowstyle": "-|>", "mutation_scale": 8, "shrinkA": 0, "shrinkB": 0}
            tip = (box.x - box.width / 2, box.y)
            if source in _passing(boxes, box):
                height = _route_height(boxes, source, box)
                out, into = start.y + 0.2 * start.height, box.y + 0.25 * box.height
                back, beside = start.x + start.width / 2 + SLANT, tip[0] - 0.22
                path = [(back, out), (back + 0.1, out), (back + 0.1, height), (beside, height), (beside, into)]
                axes.plot(*zip(*path, strict=True), **looks)
                axes.add_patch(FancyArrowPatch((beside, into), (tip[0], into), **head, **{**looks, "linestyle": "-"}))
            else:
                axes.add_patch(FancyArrowPatch((start.x + start.width / 2 + SLANT, start.y), tip, **head, **looks))


def _write_levels(axes, boxes: list, left: float) -> None:
    """Write the resolution of each level at the left."""
    levels = sorted({(box.level, box.size) for box in boxes if box.scale > 0}, key=lambda entry: entry[0])
    written = set()
    for level, size in levels:
        if level in written:
            continue
        written.add(level)
        y = next(box.y for box in boxes if box.level == level and box.scale > 0)
        words = f"{size[0]}×{size[1]}" if size else ("full\nresolution" if level == 0 else f"1/{2**level}")
        axes.text(left + 0.05, y, words, ha="left", va="center", fontsize=8, color=style.INK)


def _write_output(axes, boxes: list, output: str) -> None:
    """Write what comes out behind the box, or boxes, that give it."""
    ends = [box for box in boxes if box.output]
    words = [output] if len(ends) == 1 else [box.name.replace("_", " ") for box in ends]
    for box, text in zip(ends, words, strict=True):
        start = box.x + box.width / 2 + SLANT
        arrow = {"arrowstyle": "-|>", "mutation_scale": 8, "shrinkA": 0, "shrinkB": 0, "color": style.INK, "lw": 1.1}
        axes.add_patch(FancyArrowPatch((start, box.y), (start + 0.35, box.y), **arrow))
        axes.text(start + 0.42, box.y, text, ha="left", va="center", fontsize=8)


def _examples(figure, place, pictures: dict, pixel_size_um: float | None, cmap: str) -> None:
    """Draw example pictures one below another."""
    grid = place.subgridspec(len(pictures), 1)
    for index, (name, picture) in enumerate(pictures.items()):
        panel = figure.add_subplot(grid[index])
        style.show_image(panel, np.asarray(picture), pixel_size_um or 1.0, cmap=cmap, scale=pixel_size_um is not None)
        panel.set_title(name, fontsize=8.5)


def _legend(boxes: list) -> list:
    """One entry a kind of box that is there, and what the numbers mean."""
    found = {box.kind for box in boxes}
    entries = [
        Patch(facecolor=colour, edgecolor=style.INK, lw=0.7, label=KIND_WORDS.get(kind, kind))
        for kind, colour in KIND_COLOURS.items()
        if kind in found
    ]
    entries.append(Patch(facecolor="none", edgecolor="none", label="above: channels; below: kernel"))
    if any(box.rank - boxes[source].rank > 1 for box in boxes for source in box.sources):
        entries.append(matplotlib.lines.Line2D([], [], color=style.BLUE, ls=(0, (4, 2)), lw=1.1, label="skip connection"))
    return entries
