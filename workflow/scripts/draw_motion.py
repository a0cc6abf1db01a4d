"""Draw a movie's localizations, tracks, mean squared displacements and displacements."""

from defocus3d.logs import start

start(snakemake)

import json
from dataclasses import fields
from pathlib import Path

import pandas as pd

from defocus3d.camera import Camera
from defocus3d.displacements import unbroken_runs
from defocus3d.figures import checks, motion, style, tracks
from defocus3d.frames import open_frames
from defocus3d.heterogeneity import track_diffusion

movie, name = snakemake.params.acquisition, snakemake.wildcards.acquisition
localizations, linked = pd.read_parquet(snakemake.input.localizations), pd.read_parquet(snakemake.input.tracks)
brownian, info = (json.loads(Path(snakemake.input[key]).read_text()) for key in ("brownian", "info"))
frame = tracks.typical_frame(localizations)
with open_frames(movie["path"], Camera(**{field.name: movie[field.name] for field in fields(Camera)})) as frames:
    image = frames.read(frame, frame + 1)[0]
interval_s, exposure_s = movie["frame_interval_s"], movie["exposure_s"]

style.save(tracks.draw_frame(image, localizations, movie["pixel_size_um"], frame), snakemake.output.frame)
figure = tracks.draw_localizations(localizations, frame_interval_s=interval_s, n_frames=info["n_frames"])
style.save(figure, snakemake.output.localizations)
style.save(tracks.draw_tracks(linked, interval_s), snakemake.output.tracks)
style.save(motion.draw_msd(pd.read_csv(snakemake.input.msd), brownian, exposure_s, name), snakemake.output.msd)
style.save(motion.draw_displacements(linked, brownian, interval_s, exposure_s, name), snakemake.output.displacements)
by_track = track_diffusion(unbroken_runs(linked, style.AXES), interval_s)
style.save(checks.draw_checks(by_track, brownian, name), snakemake.output.checks)
