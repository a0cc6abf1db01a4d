"""Pictures of the preview: a frame with what a first look finds, and how far apart the two sides of focus are."""

import html
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from defocus3d.figures import pages, style

STYLE = (
    "body{font:16px sans-serif;max-width:62em;margin:2em auto;padding:0 1em;color:#222}"
    "img{max-width:100%}.mend{color:#a33f00}.good{color:#00664b}"
)


@style.house_style
def draw_movie(images_e: np.ndarray, found, frames, training: dict, pixel_size_um: float) -> Figure:
    """The first of `images_e` (n, rows, columns) with the beads found in it, their brightness, and the background over `frames` (n,)."""
    figure = style.new_figure(3.3)
    picture, bright, level = figure.subplots(1, 3, width_ratios=[1.3, 1, 1])
    style.show_image(picture, images_e[0], pixel_size_um)
    mine = found[found["frame"] == 0]
    drawn = picture.scatter(mine["x_um"], mine["y_um"], c=mine["z_um"], cmap=style.DEPTH, marker="+", s=40, linewidth=1.1)
    if len(mine):
        style.colour_bar(figure, drawn, picture, "rough z (µm)", location="bottom", shrink=0.8, pad=0.03)
    else:
        style.note(picture, "no bead was found")
    picture.set_title("first frame, beads at a first look")
    low, high = training["photons"]
    seen = found.loc[found["clear"], "photons"].clip(lower=1)
    bright.axvspan(low, high, color=style.SKY, alpha=0.25)
    bright.hist(seen, bins=np.geomspace(min([low, *seen]) / 1.5, 1.5 * max([high, *seen]), 25), color=style.BLUE)
    bright.set(xscale="log", xlabel="photoelectrons", ylabel="beads near focus", title="brightness, rough")
    level.axhspan(*training["background_e"], color=style.SKY, alpha=0.25)
    level.plot(frames, np.median(images_e, axis=(1, 2)), "o-", color=style.BLUE)
    level.set(xlabel="frame", ylabel="photoelectrons a pixel", title="background", ylim=(0, None))
    figure.supxlabel("shaded: what the networks would be trained for", fontsize=8.5)
    return figure


@style.house_style
def draw_sides(curves: dict, told_apart: float) -> Figure:
    """Distance of the two sides of focus against z; `curves`: tables of `preview.sides_apart` by photoelectrons."""
    figure = style.new_figure(3.2, 5.4)
    axes = figure.subplots()
    for (photons, table), colour, line in zip(curves.items(), (style.BLUE, style.GREEN, style.PINK), ("-", "--", ":")):
        axes.plot(table["z_um"], table["distance"], line, color=colour, label=f"{photons:,.0f}")
    axes.axhspan(0, told_apart, color=style.ORANGE, alpha=0.15)
    words = {"ha": "center", "va": "bottom", "color": style.ORANGE, "fontsize": 8, "zorder": 4}
    axes.text(0.5, 0.02, "here, one image does not tell the side", transform=axes.transAxes, **words)
    axes.set(xlabel="z (µm)", ylabel="difference from the\nother side (noise σ)", ylim=(0, None))
    axes.set_title("are the two sides of focus told apart?")
    style.legend_below(figure, axes.get_legend_handles_labels()[0], "photoelectrons of a bead")
    return figure


def preview_page(title: str, sections: list[tuple[str, list[str], list[str], list]]) -> str:
    """The page of the preview; a section is its heading, facts, advice, and the PNG files of its pictures."""
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for heading, facts, advice, pictures in sections:
        parts.append(f"<h2>{html.escape(heading)}</h2><ul>")
        parts += [f"<li>{html.escape(fact)}</li>" for fact in facts]
        parts += [f'<li class="mend"><b>To mend:</b> {html.escape(text)}</li>' for text in advice]
        parts.append("</ul>" if advice else '<li class="good">Nothing to mend was found.</li></ul>')
        parts += [pages.picture(Path(file).read_bytes(), "png", heading) for file in pictures]
    return pages.page(title, STYLE, "\n".join(parts) + "\n")
