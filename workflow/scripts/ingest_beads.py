"""Turn the bead stacks of an optics into its PSF, a table of beads, and the precision limit."""

from defocus3d.logs import start

log = start(snakemake)

from defocus3d import tables
from defocus3d.beads import bead_table, load_stack
from defocus3d.camera import Camera
from defocus3d.figures import optics, style
from defocus3d.frames import open_frames
from defocus3d.pooling import measure_psf
from defocus3d.psf import precision_limit

cameras = [Camera.of(row) for row in snakemake.params.stacks]
stacks = []
for row, camera in zip(snakemake.params.stacks, cameras):
    with open_frames(row["path"], camera) as frames:
        stacks.append(load_stack(row, frames, camera))
pixel_size_um = snakemake.params.stacks[0]["pixel_size_um"]
training = snakemake.params.training
psf, beads = measure_psf(stacks, pixel_size_um, snakemake.params.axial_range_um, snakemake.params.beads, training["seed"])
log.info("%d of %d beads kept, %d of them held out", (beads["role"] != "rejected").sum(), len(beads), (beads["role"] == "held_out").sum())

table = bead_table(beads, stacks, pixel_size_um)
limit = precision_limit(psf, training["photons"], training["background_e"], cameras[0])
psf.save(snakemake.output.psf)
tables.write(table, snakemake.output.beads)
tables.write(limit, snakemake.output.limit)
style.save(optics.draw_psf(psf.focal_series(), psf.z_um, pixel_size_um), snakemake.output.psf_figure)
style.save(optics.draw_beads({s.name: s.images.max(axis=0) for s in stacks}, table, pixel_size_um), snakemake.output.beads_figure)
style.save(optics.draw_precision_limit(limit), snakemake.output.limit_figure)
