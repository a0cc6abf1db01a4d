"""Draw a movie: its localizations, tracks, displacements and verdict, a short film of it, and its tracks to be turned by mouse."""

from defocus3d.logs import start

start(snakemake)

import json
from pathlib import Path

import pandas as pd

from defocus3d import files
from defocus3d.camera import Camera
from defocus3d.displacements import unbroken_runs
from defocus3d.figures import checks, film, motion, quality, style, tracks, viewer
from defocus3d.frames import open_frames
from defocus3d.heterogeneity import track_diffusion

movie, name = snakemake.params.acquisition, snakemake.wildcards.acquisition
localizations, linked = pd.read_parquet(snakemake.input.localizations), pd.read_parquet(snakemake.input.tracks)
brownian, info = (json.loads(Path(snakemake.input[key]).read_text()) for key in ("brownian", "info"))
pixel_um, interval_s, exposure_s = movie["pixel_size_um"], movie["frame_interval_s"], movie["exposure_s"]
frame = tracks.typical_frame(localizations)
with open_frames(movie["path"], Camera.of(movie)) as frames:
    image = frames.read(frame, frame + 1)[0]
    shown = film.window(tracks.typical_frame(linked), len(frames), frames.shape)
    images = frames.read(shown[0].start, shown[0].stop)[:, shown[1], shown[2]]

style.save(tracks.draw_frame(image, localizations, pixel_um, frame), snakemake.output.frame)
figure = tracks.draw_localizations(localizations, frame_interval_s=interval_s, n_frames=info["n_frames"])
style.save(figure, snakemake.output.localizations)
style.save(quality.draw_quality(localizations, info["n_frames"], interval_s), snakemake.output.quality)
style.save(tracks.draw_tracks(linked, interval_s), snakemake.output.tracks)
style.save(motion.draw_msd(pd.read_csv(snakemake.input.msd), brownian, exposure_s, name), snakemake.output.msd)
style.save(motion.draw_displacements(linked, brownian, interval_s, exposure_s, name), snakemake.output.displacements)
by_track = track_diffusion(unbroken_runs(linked, style.AXES), interval_s)
style.save(checks.draw_checks(by_track, brownian, interval_s, name), snakemake.output.checks)

pictures = film.draw_film(images, linked, shown, pixel_um, info["axial_range_um"], interval_s)
moving = film.animated(pictures)
files.write(snakemake.output.film, moving)
files.write(snakemake.output.thumbnail, film.thumbnail(pictures[min(film.TAIL, len(pictures) - 1)]))
files.write(snakemake.output.page, viewer.tracks_page(linked, name, moving))
