"""A short film of a movie with its tracks drawn on the frames, and a small picture of the same for the first page."""

import io

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from defocus3d.figures import style

MOST_FRAMES = 24
MOST_PIXELS = 256  # of a side of the window that is shown
SIDE = 384  # pixels of the film, about
TAIL = 10  # frames of a track that are seen behind its bead
FRAME_MS = 100
QUALITY = 20  # of WebP: noise of the camera is what costs


def window(first_frame: int, n_frames: int, shape) -> tuple[slice, slice, slice]:
    """Slices of the frames, rows and columns that the film shows: the middle of a large image."""
    sides = []
    for count in shape:
        start = max(0, (count - MOST_PIXELS) // 2)
        sides.append(slice(start, min(count, start + MOST_PIXELS)))
    start = max(0, min(first_frame, n_frames - MOST_FRAMES))
    return slice(start, min(n_frames, start + MOST_FRAMES)), *sides


def draw_film(images, tracks: pd.DataFrame, shown, pixel_size_um: float, z_limits_um, frame_interval_s: float) -> list[Image.Image]:
    """The pictures of the film: frames in grey (dark is bright), rings on beads in tracks, tails behind them; colour is z.

    Parameters
    ----------
    images : array, shape (frames, rows, columns)
        The frames of the window, in photoelectrons.
    tracks : DataFrame
        The table tracks.parquet, with the whole movie's frame numbers and places.
    shown : tuple of slices
        What `window` gave.
    z_limits_um : tuple
        Heights of the first and last colour.
    """
    low, high = style.display_limits(images, 1, 99.9)
    grey = (255 * (1 - np.clip((np.asarray(images, dtype=float) - low) / (high - low), 0, 1))).astype(np.uint8)
    scale = max(1, round(SIDE / max(grey.shape[1:])))
    frames, rows, columns = shown
    near = tracks[tracks["frame"].between(frames.start - TAIL, frames.stop - 1)].sort_values(["particle", "frame"])
    places = (near[["x_um", "y_um"]].to_numpy() / pixel_size_um - [columns.start, rows.start] + 0.5) * scale
    colours = (255 * style.DEPTH(Normalize(*z_limits_um, clip=True)(near["z_um"].to_numpy()))[:, :3]).astype(int)
    frame = near["frame"].to_numpy()
    paths = [(frame[at], places[at], colours[at]) for at in near.groupby("particle").indices.values()]
    pictures = []
    for number, picture in zip(range(frames.start, frames.stop), grey, strict=True):
        image = Image.fromarray(picture).resize((picture.shape[1] * scale, picture.shape[0] * scale), Image.Resampling.NEAREST)
        image = image.convert("RGB")
        _draw_paths(ImageDraw.Draw(image), paths, number, 3.2 * scale)
        _annotate(image, scale / pixel_size_um, f"{number * frame_interval_s:.3g} s")
        pictures.append(image)
    return pictures


def _draw_paths(draw, paths, number: int, radius: float) -> None:
    """Draw the tails of all tracks up to frame `number`, and a ring where a bead is in it."""
    for frame, place, colour in paths:
        tail = np.flatnonzero((frame <= number) & (frame >= number - TAIL))
        if len(tail) == 0 or frame[-1] < number:
            continue
        for a, b in zip(tail[:-1], tail[1:]):
            draw.line([tuple(place[a]), tuple(place[b])], fill=tuple(colour[b]), width=2)
        if frame[tail[-1]] == number:
            x, y = place[tail[-1]]
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], outline=tuple(colour[tail[-1]]), width=2)


def _annotate(image, pixels_per_um: float, text: str) -> None:
    """Draw a scale bar in the lower left corner and `text` in the upper left one."""
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(findfont("DejaVu Sans"), 13)  # Pillow's own has no µ
    length = style.round_length(0.25 * image.width / pixels_per_um)
    bottom = image.height - 8
    for corner, words in (((6, bottom - 20), f"{length:g} µm"), ((6, 4), text)):
        draw.rectangle(draw.textbbox(corner, words, font=font), fill="white")
        draw.text(corner, words, fill="black", font=font)
    draw.rectangle([6, bottom, 6 + length * pixels_per_um, bottom + 3], fill="black")


def animated(pictures: list[Image.Image]) -> bytes:
    """The pictures as one animated WebP, which loops."""
    out = io.BytesIO()
    options = {"save_all": True, "append_images": pictures[1:], "duration": FRAME_MS, "loop": 0, "quality": QUALITY, "method": 2}
    pictures[0].save(out, "WEBP", **options)
    return out.getvalue()


def thumbnail(picture: Image.Image, side: int = 150) -> bytes:
    """A small WebP of one picture."""
    small, out = picture.copy(), io.BytesIO()
    small.thumbnail((side, side))
    small.save(out, "WEBP", quality=60)
    return out.getvalue()
