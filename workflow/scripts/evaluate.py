"""Judge the networks on held-out scenes and beads; choose the probability threshold and calibrate the uncertainties."""

from defocus3d.logs import start

log = start(snakemake)

import pandas as pd

from defocus3d import tables
from defocus3d.assessment import assess_beads, assess_scenes, calibrate
from defocus3d.beads import load_stack
from defocus3d.camera import Camera
from defocus3d.frames import open_frames
from defocus3d.localization import Localizer
from defocus3d.psf import PSF
from defocus3d.scenes import Scenes

training, refine = snakemake.params.training, snakemake.params.localization["refine"]
scenes, psf = Scenes.load(snakemake.input.scenes), PSF.load(snakemake.input.psf)
networks = Localizer.load_networks(snakemake.input.fcn, snakemake.input.cnn, snakemake.threads)
localizer, rest = calibrate(networks, psf, Camera.of(snakemake.params.camera), scenes, training, refine)
rows = assess_scenes(localizer, scenes, rest, refine, training["seed"])
beads = pd.read_csv(snakemake.input.beads, keep_default_na=False)
stacks = []
for row in snakemake.params.stacks:
    camera = Camera.of(row)
    with open_frames(row["path"], camera) as frames:
        stacks.append(load_stack(row, frames, camera))
rows += assess_beads(localizer, stacks, beads, refine)
tables.write(pd.DataFrame(rows), snakemake.output.evaluation)
localizer.calibration.save(snakemake.output.calibration)
log.info("threshold %.2f", localizer.calibration.threshold)
