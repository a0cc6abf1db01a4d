"""Draw a movie's tracks to be turned by mouse, beside its film, and how good its localizations are."""

from defocus3d.logs import start

start(snakemake)

import json
from pathlib import Path

import pandas as pd

from defocus3d import files
from defocus3d.figures import quality, style, viewer

name, info = snakemake.wildcards.acquisition, json.loads(Path(snakemake.input.info).read_text())
page = viewer.tracks_page(pd.read_parquet(snakemake.input.tracks), name, Path(snakemake.input.film).read_bytes())
files.write(snakemake.output.page, page)
localizations = pd.read_parquet(snakemake.input.localizations)
style.save(quality.draw_quality(localizations, info["n_frames"], snakemake.params.frame_interval_s), snakemake.output.quality)
