"""Train the network that places beads, on crops where the first network finds beads."""

from defocus3d.logs import start

log = start(snakemake)

import keras
import pandas as pd

from defocus3d import tables
from defocus3d.camera import Camera
from defocus3d.card import Card
from defocus3d.checkpoints import Checkpoint
from defocus3d.models import save
from defocus3d.provenance import key_of
from defocus3d.scenes import Scenes
from defocus3d.training import train_cnn

fcn = keras.saving.load_model(snakemake.input.fcn, compile=False, safe_mode=True)
checkpoint = Checkpoint(snakemake.params.checkpoint, key_of(dict(snakemake.params), snakemake.input))
scenes, camera = Scenes.load(snakemake.input.scenes), Camera.of(snakemake.params.camera)
network, curve = train_cnn(scenes, fcn, camera, snakemake.params.training, checkpoint)
card = Card.of(scenes, camera, snakemake.params.training, snakemake.params.blur_um)
save(network, card, snakemake.output.network, snakemake.output.onnx)
tables.write(pd.concat([pd.read_csv(snakemake.input.curve), curve], ignore_index=True), snakemake.output.curve)
checkpoint.clear()
