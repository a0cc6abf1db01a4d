"""Localize the beads of a movie, batch by batch."""

from defocus3d.logs import start

log = start(snakemake)

import json

from defocus3d import files, tables
from defocus3d.camera import Camera
from defocus3d.frames import open_frames
from defocus3d.localization import Calibration, Localizer, localize_movie
from defocus3d.psf import PSF

row, settings = snakemake.params.acquisition, snakemake.params.localization
calibration = Calibration.load(snakemake.input.calibration)
networks = Localizer.load_networks(snakemake.input.fcn, snakemake.input.cnn, snakemake.threads)
localizer = Localizer(*networks, PSF.load(snakemake.input.psf).blurred(snakemake.params.blur_um), Camera.of(row), calibration, settings["search"])
with (
    open_frames(row["path"], localizer.camera) as frames,
    tables.writing(snakemake.output.localizations, tables.LOCALIZATION_COLUMNS) as take,
):
    info = localize_movie(localizer, frames, row, settings, take, snakemake.threads)
files.write(snakemake.output.info, json.dumps(info, indent=1))
log.info("%d localizations, %d of them good, in %d frames", info["n_localizations"], info["n_good"], info["n_frames"])
for warning in info["warnings"]:
    log.warning(warning)
