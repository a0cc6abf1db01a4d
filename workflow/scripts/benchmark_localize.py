"""Localize all movies of the benchmark as a user would, by the networks alone or with a search of the fit, and measure the speed."""

from defocus3d.logs import start

log = start(snakemake)

import json

import pandas as pd

from defocus3d import files, tables
from defocus3d.benchmark.runs import run
from defocus3d.benchmark.sets import data_sets
from defocus3d.camera import Camera
from defocus3d.frames import open_frames
from defocus3d.localization import Calibration, Localizer, localize_movie
from defocus3d.psf import PSF

networks = Localizer.load_networks(snakemake.input.fcn, snakemake.input.cnn, snakemake.threads)
psf, calibration = PSF.load(snakemake.input.psf), Calibration.load(snakemake.input.calibration)
movies = dict(zip(data_sets(snakemake.params.size), snakemake.input.movies))
settings = {**snakemake.params.localization, "batch_frames": 16}


def locate(name):
    localizer, parts = Localizer(*networks, psf.blurred(snakemake.params.blur_um[name]), Camera(), calibration, settings["search"]), []
    with open_frames(movies[name], localizer.camera) as frames:
        localize_movie(localizer, frames, {"axial_scale": 1.0}, settings, parts.append, snakemake.threads)
    return pd.concat(parts, ignore_index=True)


found, speed = run(locate, list(movies))
tables.write(found, snakemake.output.found)
files.write(snakemake.output.speed, json.dumps(speed, indent=1))
