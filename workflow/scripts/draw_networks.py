"""Draw the two networks from the models that were trained."""

from defocus3d.logs import start

start(snakemake)

import keras

from defocus3d.figures import networks, style

for draw, name in ((networks.draw_fcn, "fcn"), (networks.draw_cnn, "cnn")):
    model = keras.saving.load_model(snakemake.input[name], compile=False, safe_mode=True)
    style.save(draw(model), snakemake.output[name])
