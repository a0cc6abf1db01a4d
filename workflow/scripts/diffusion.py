"""Tracks to mean squared displacements, diffusion coefficients and the Brownian verdict."""

from defocus3d.logs import start

start(snakemake)

import json
from pathlib import Path

import pandas as pd

from defocus3d import files, tables
from defocus3d.diffusion import Experiment, brownian_check

msd, brownian = brownian_check(
    pd.read_parquet(snakemake.input.tracks),
    pd.read_parquet(snakemake.input.localizations),
    Experiment.of(snakemake.params.acquisition, json.loads(Path(snakemake.input.info).read_text())),
    snakemake.params.linking,
    snakemake.params.brownian,
    snakemake.params.seed,
)
print(f"verdict: {brownian['verdict']} ({'; '.join(brownian['reasons'])})")
tables.write(msd, snakemake.output.msd)
files.write(snakemake.output.brownian, json.dumps(brownian, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
