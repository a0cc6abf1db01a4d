"""Localize all movies of the benchmark by a method from libraries, and measure the speed."""

from defocus3d.logs import start

log = start(snakemake)

import json

import pandas as pd

from defocus3d import files, tables
from defocus3d.beads import load_stack
from defocus3d.benchmark.baselines import Correlation, LookUp
from defocus3d.benchmark.runs import run
from defocus3d.benchmark.sets import data_sets
from defocus3d.camera import Camera
from defocus3d.frames import open_frames
from defocus3d.psf import PSF

psf, camera, stacks = PSF.load(snakemake.input.psf), Camera(), []
if snakemake.wildcards.method == "trackpy":
    for row in snakemake.params.stacks:
        with open_frames(row["path"], camera) as frames:
            stacks.append(load_stack(row, frames, camera))
    method = LookUp.of(stacks, pd.read_csv(snakemake.input.beads, keep_default_na=False), psf.pixel_size_um)
else:
    method = Correlation.of(psf)
movies = dict(zip(data_sets(snakemake.params.size), snakemake.input.movies))


def locate(name):
    with open_frames(movies[name], camera) as frames:
        return method.locate(frames.read(0, len(frames)))


found, speed = run(locate, list(movies))
tables.write(found, snakemake.output.found)
files.write(snakemake.output.speed, json.dumps(speed, indent=1))
