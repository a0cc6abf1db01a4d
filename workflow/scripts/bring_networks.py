"""Copy networks that another analysis trained, with what belongs to them, and draw what they are for."""

from defocus3d.logs import start

log = start(snakemake)

from pathlib import Path

import pandas as pd

from defocus3d import trained
from defocus3d.figures import optics, style
from defocus3d.psf import PSF

to = Path(snakemake.output.files[0]).parent
trained.bring(Path(snakemake.params.folder), to)
psf = PSF.load(to / "psf.npz")
style.save(optics.draw_psf(psf.focal_series(), psf.z_um, psf.pixel_size_um), snakemake.output.psf_figure)
style.save(optics.draw_precision_limit(pd.read_csv(to / "precision_limit.csv")), snakemake.output.limit_figure)
log.info("copied from %s", snakemake.params.folder)
