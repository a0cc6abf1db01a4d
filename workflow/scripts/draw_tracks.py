"""Draw a movie's tracks to be turned by mouse, beside a short film of them, a small picture, and how good its localizations are."""

from defocus3d.logs import start

start(snakemake)

import json
from pathlib import Path

import pandas as pd

from defocus3d import files
from defocus3d.camera import Camera
from defocus3d.figures import film, quality, style, tracks, viewer
from defocus3d.frames import open_frames

movie, name = snakemake.params.acquisition, snakemake.wildcards.acquisition
localizations, linked = pd.read_parquet(snakemake.input.localizations), pd.read_parquet(snakemake.input.tracks)
info = json.loads(Path(snakemake.input.info).read_text())
with open_frames(movie["path"], Camera.of(movie)) as frames:
    shown = film.window(tracks.typical_frame(linked), len(frames), frames.shape)
    images = frames.read(shown[0].start, shown[0].stop)[:, shown[1], shown[2]]
pictures = film.draw_film(images, linked, shown, movie["pixel_size_um"], info["axial_range_um"], movie["frame_interval_s"])
moving = film.animated(pictures)
files.write(snakemake.output.film, moving)
files.write(snakemake.output.thumbnail, film.thumbnail(pictures[min(film.TAIL, len(pictures) - 1)]))
files.write(snakemake.output.page, viewer.tracks_page(linked, name, moving))
style.save(quality.draw_quality(localizations, info["n_frames"], movie["frame_interval_s"]), snakemake.output.quality)
