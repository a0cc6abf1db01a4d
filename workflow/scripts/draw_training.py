"""Draw the loss curves, and how good the networks are."""

from defocus3d.logs import start

start(snakemake)

import json
from pathlib import Path

import pandas as pd

from defocus3d import files
from defocus3d.figures import evaluation, in_numbers, style, training
from defocus3d.sigma_scale import stage_of

used = stage_of(snakemake.params.localization)
tables = {name: pd.read_csv(snakemake.input[name]) for name in ("training", "evaluation", "limit")}
style.save(training.draw_training(tables["training"]), snakemake.output.training)
style.save(evaluation.draw_evaluation(tables["evaluation"], tables["limit"], used), snakemake.output.evaluation)
calibration = json.loads(Path(snakemake.input.calibration).read_text())
page = in_numbers.optics_page(snakemake.wildcards.optics, calibration, tables["evaluation"], used)
files.write(snakemake.output.numbers, page)
