"""Write a movie's good localizations and its tracks for other programs."""

from defocus3d.logs import start

log = start(snakemake)

import json
from pathlib import Path

import pandas as pd

from defocus3d import exports, tables
from defocus3d.camera import Camera
from defocus3d.files import whole
from defocus3d.psf import PSF

movie, files = snakemake.params.acquisition, {Path(path).name: path for path in snakemake.output}
info = json.loads(Path(snakemake.input.info).read_text())
found, tracks = pd.read_parquet(snakemake.input.localizations), pd.read_parquet(snakemake.input.tracks)
good = found[found["flag"] == 0].reset_index(drop=True)
width = exports.width_um(PSF.load(snakemake.input.psf), good["z_um"] / movie["axial_scale"])
if "thunderstorm.csv" in files:
    tables.write(exports.thunderstorm(good, width, Camera.of(movie), info["pixel_size_um"]), files["thunderstorm.csv"])
if "picasso.hdf5" in files:
    with whole(files["picasso.hdf5"]) as hdf5, whole(files["picasso.yaml"]) as sidecar:
        exports.write_picasso(hdf5, sidecar, *exports.picasso(good, width, info))
if "napari_tracks.csv" in files:
    tables.write(exports.napari(tracks), files["napari_tracks.csv"])
if "trackmate.xml" in files:
    tables.write(exports.trackmate_spots(tracks, movie["frame_interval_s"], movie["bead_diameter_um"]), files["trackmate.csv"])
    with whole(files["trackmate.xml"]) as aside:
        exports.trackmate_tracks(tracks, movie["frame_interval_s"]).write(aside, encoding="utf-8", xml_declaration=True)
log.info("%d localizations and %d tracks in %s", len(good), tracks["particle"].nunique(), ", ".join(files))
