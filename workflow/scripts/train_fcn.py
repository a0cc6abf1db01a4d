"""Train the fully convolutional network."""

from defocus3d.logs import start

log = start(snakemake)

from defocus3d import tables
from defocus3d.camera import Camera
from defocus3d.scenes import Scenes
from defocus3d.training import train_fcn

scenes = Scenes.load(snakemake.input.scenes)
network, curve = train_fcn(scenes, Camera.of(snakemake.params.camera), snakemake.params.training)
network.save(snakemake.output.network)
tables.write(curve, snakemake.output.curve)
