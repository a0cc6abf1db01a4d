"""Hold what each method found against the truth."""

from defocus3d.logs import start

log = start(snakemake)

import json
from pathlib import Path

import pandas as pd

from defocus3d import tables
from defocus3d.benchmark.runs import growth, speed
from defocus3d.benchmark.scores import Scores, by_z, ratios
from defocus3d.benchmark.sets import data_sets

movies = data_sets(snakemake.params.size)
truth = {name: pd.read_parquet(path) for name, path in zip(movies, snakemake.input.truth)}
rows = {Path(path).stem: [] for path in snakemake.output}
for method, found, measured in zip(snakemake.params.methods, snakemake.input.found, snakemake.input.speed):
    scores, measured = Scores(pd.read_parquet(found), truth, movies), json.loads(Path(measured).read_text())
    isolated = scores.isolated()
    parts = {"accuracy": [ratios(isolated)], "errors": by_z(isolated), "detection": scores.detection(), "coverage": scores.coverage()}
    parts |= {"speed": [speed(measured, movies)], "growth": growth(measured, movies)}
    for table, new in parts.items():
        rows[table] += [{"method": method, **row} for row in new]
for path in snakemake.output:
    table = rows[Path(path).stem]
    tables.write(pd.DataFrame(table, columns=None if table else ["method"]), path)
