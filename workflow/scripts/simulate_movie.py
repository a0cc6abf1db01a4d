"""Simulate a movie of diffusing beads, with its truth beside."""

from defocus3d.logs import start

log = start(snakemake)

import numpy as np
import tifffile

from defocus3d import tables
from defocus3d.camera import Camera
from defocus3d.files import whole
from defocus3d.microscope import SCENES, Microscope, brownian_movie

scene = SCENES[snakemake.wildcards.movie]
movie, truth = brownian_movie(Microscope(), Camera(), scene, np.random.default_rng(snakemake.params.seed))
with whole(snakemake.output.movie) as aside:
    tifffile.imwrite(aside, movie, photometric="minisblack")
tables.write(truth, snakemake.output.truth)
log.info("%d frames, %d beads", len(movie), truth["particle"].nunique())
