"""Train the fully convolutional network."""

from defocus3d.logs import start

log = start(snakemake)

from defocus3d import tables
from defocus3d.camera import Camera
from defocus3d.checkpoints import Checkpoint
from defocus3d.files import whole
from defocus3d.provenance import key_of
from defocus3d.scenes import Scenes
from defocus3d.training import train_fcn

checkpoint = Checkpoint(snakemake.params.checkpoint, key_of(dict(snakemake.params), snakemake.input))
scenes = Scenes.load(snakemake.input.scenes)
network, curve = train_fcn(scenes, Camera.of(snakemake.params.camera), snakemake.params.training, checkpoint)
with whole(snakemake.output.network) as aside:
    network.save(aside)
tables.write(curve, snakemake.output.curve)
checkpoint.clear()
