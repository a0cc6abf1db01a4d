"""Look at some frames of a movie: background, brightness, density, saturation, and the precision to expect."""

from defocus3d.logs import start

log = start(snakemake)

import json

import numpy as np

from defocus3d import files, preview
from defocus3d.camera import Camera
from defocus3d.figures import preview as pictures
from defocus3d.figures import style
from defocus3d.frames import open_frames
from defocus3d.psf import PSF

movie, training, psf = snakemake.params.acquisition, snakemake.params.training, PSF.load(snakemake.input.psf)
camera = Camera.of(movie)
with open_frames(movie["path"], camera) as frames:
    chosen = np.unique(np.linspace(0, len(frames) - 1, preview.FRAMES).astype(int))
    images = np.concatenate([frames.read(k, k + 1) for k in chosen])
    full = frames.saturation_e(images)
found = preview.first_look(images[: preview.SEARCHED], psf, camera, training)
facts = preview.movie_facts(images, found, full, psf, camera, training)
style.save(pictures.draw_movie(images, found, chosen, training, psf.pixel_size_um), snakemake.output.figure)
files.write(snakemake.output.facts, json.dumps(facts, indent=1))
for advice in facts["advice"]:
    log.warning(advice)
