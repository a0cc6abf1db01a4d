"""Draw the loss curves, and how good the networks are."""

from defocus3d.logs import start

start(snakemake)

import pandas as pd

from defocus3d.figures import evaluation, style, training

tables = {name: pd.read_csv(snakemake.input[name]) for name in ("training", "evaluation", "limit")}
style.save(training.draw_training(tables["training"]), snakemake.output.training)
style.save(evaluation.draw_evaluation(tables["evaluation"], tables["limit"]), snakemake.output.evaluation)
