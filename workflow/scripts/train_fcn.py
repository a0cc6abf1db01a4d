"""Train the fully convolutional network."""

from defocus3d.logs import start

log = start(snakemake)

from defocus3d import tables
from defocus3d.camera import Camera
from defocus3d.card import Card
from defocus3d.checkpoints import Checkpoint
from defocus3d.models import save
from defocus3d.provenance import key_of
from defocus3d.scenes import Scenes
from defocus3d.training import train_fcn

checkpoint = Checkpoint(snakemake.params.checkpoint, key_of(dict(snakemake.params), snakemake.input))
scenes, camera = Scenes.load(snakemake.input.scenes), Camera.of(snakemake.params.camera)
network, curve = train_fcn(scenes, camera, snakemake.params.training, checkpoint)
card = Card.of(scenes, camera, snakemake.params.training, snakemake.params.blur_um)
save(network, card, snakemake.output.network, snakemake.output.onnx)
tables.write(curve, snakemake.output.curve)
checkpoint.clear()
