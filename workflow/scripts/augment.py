"""Draw the scenes that the networks learn from, and those that they are judged by."""

from defocus3d.logs import start

log = start(snakemake)

import numpy as np

from defocus3d.camera import Camera
from defocus3d.figures import scenes as scene_figures
from defocus3d.figures import style
from defocus3d.psf import PSF
from defocus3d.scenes import HELD_OUT_GROUP, draw_scenes, held_out_blur

psf, training, camera = PSF.load(snakemake.input.psf), snakemake.params.training, Camera.of(snakemake.params.camera)
ranges = (training["density_per_um2"], training["photons"], training["background_e"])
blur = snakemake.params.blur_um  # judged at the movies' blur, trained for anything up to it and a little beyond
size, seed = training["scene_size_px"], training["seed"]
scenes = draw_scenes(psf, psf.axial_range_um, training["scenes"], size, *ranges, (0, 1.1 * blur), seed)
scenes.save(snakemake.output.training)
count = training["held_out_scenes"]
held_out = draw_scenes(psf, psf.axial_range_um, count, size, *ranges, held_out_blur(count, blur), seed + 1, HELD_OUT_GROUP)
held_out.save(snakemake.output.held_out)
log.info("%d scenes with %d beads", len(scenes), len(scenes.beads))

few = np.linspace(0, len(scenes) - 1, 4).astype(int)
clean = scenes.images[few].astype(np.float32)
shown = scenes.beads[scenes.beads["scene"].isin(few)].assign(
    scene=lambda t: t["scene"].map({k: i for i, k in enumerate(few)}), in_range=lambda t: t["z_um"].between(*psf.axial_range_um)
)
noisy = camera.detect(clean, np.random.default_rng(seed))
style.save(scene_figures.draw_scenes(clean, noisy, shown, psf.pixel_size_um), snakemake.output.figure)
