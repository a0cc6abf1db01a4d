"""Localizations to tracks."""

from defocus3d.logs import start

start(snakemake)

import pandas as pd

from defocus3d import linking, search_range, tables
from defocus3d.diffusion import expected_um2_s

settings, acquisition = snakemake.params.linking, snakemake.params.acquisition
localizations = pd.read_parquet(snakemake.input.localizations)
range_um = search_range.resolve_range_um(
    settings["search_range_um"], localizations, expected_um2_s(acquisition)[0], acquisition["frame_interval_s"]
)
tracks = linking.link_tracks(localizations, range_um, settings["memory_frames"], settings["min_track_frames"])
print(f"search range {range_um:.3g} µm: {len(tracks)} of {len(localizations)} localizations in {tracks['particle'].nunique()} tracks")
tables.write(tables.conform(tracks, tables.TRACK_COLUMNS), snakemake.output.tracks)
