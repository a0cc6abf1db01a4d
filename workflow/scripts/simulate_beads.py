"""Simulate a stack of immobile beads, with its truth beside."""

from defocus3d.logs import start

log = start(snakemake)

import numpy as np
import tifffile

from defocus3d import tables
from defocus3d.camera import Camera
from defocus3d.files import whole
from defocus3d.microscope import Microscope, bead_stack

stack, truth = bead_stack(Microscope(), Camera(), np.random.default_rng(snakemake.params.seed))
with whole(snakemake.output.stack) as aside:
    tifffile.imwrite(aside, stack, photometric="minisblack")
tables.write(truth, snakemake.output.truth)
log.info("%d planes of %d beads", len(stack), len(truth))
