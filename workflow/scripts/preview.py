"""Put what a first look shows of all optics and movies on one page."""

from defocus3d.logs import start

log = start(snakemake)

import json
from pathlib import Path

import numpy as np
import pandas as pd

from defocus3d import files, preview
from defocus3d.camera import Camera
from defocus3d.figures import preview as pictures
from defocus3d.figures import style
from defocus3d.psf import PSF

sections, training = [], snakemake.params.training
level = float(np.sqrt(np.prod(training["background_e"])))
for optics, camera in snakemake.params.cameras.items():
    folder, sides = Path("results/optics", optics), f"results/preview/optics/{optics}_sides.png"
    psf, beads = PSF.load(folder / "psf.npz"), pd.read_csv(folder / "beads.csv", keep_default_na=False)
    curves = {n: preview.sides_apart(psf, n, level, Camera.of(camera)) for n in np.geomspace(*training["photons"], 3)[::-1]}
    style.save(pictures.draw_sides(curves, preview.TOLD_APART), sides)
    counts = ", ".join(f"{n} {reason}" for reason, n in beads.loc[~beads["kept"], "reason"].value_counts().items())
    facts = [f"{beads['kept'].sum()} of {len(beads)} beads kept" + (f"; rejected: {counts}" if counts else "")]
    advice = preview.optics_advice(beads, next(iter(curves.values())), training)
    images = [] if "trained" in camera else [folder / "figures/beads.png"]  # of stacks that are elsewhere
    figures = [*images, folder / "figures/psf.png", sides, folder / "figures/precision_limit.png"]
    sections.append((f"Optics {optics}", facts, advice, figures))
for name in snakemake.params.movies:
    facts = json.loads(Path(f"results/preview/{name}.json").read_text())
    sections.append((f"Movie {name}", preview.in_words(facts), facts["advice"], [f"results/preview/{name}.png"]))
files.write(snakemake.output.page, pictures.preview_page("Look before you train", sections))
log.info("written to %s: %d things to mend", snakemake.output.page, sum(len(advice) for _, _, advice, _ in sections))
