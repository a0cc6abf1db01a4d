"""Simulate a bead stack of the benchmark."""

from defocus3d.logs import start

log = start(snakemake)

import numpy as np
import tifffile

from defocus3d.benchmark.images import Microscope
from defocus3d.camera import Camera
from defocus3d.files import whole
from defocus3d.microscope import bead_stack

stack, _ = bead_stack(Microscope(), Camera(), np.random.default_rng(snakemake.params.seed), snakemake.params.planes)
with whole(snakemake.output.stack) as aside:
    tifffile.imwrite(aside, stack, photometric="minisblack")
