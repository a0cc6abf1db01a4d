"""Put all movies into one table and one picture."""

from defocus3d.logs import start

start(snakemake)

import json
from pathlib import Path

import pandas as pd

from defocus3d import tables
from defocus3d.figures import motion, style
from defocus3d.summary import failed_row, summarize, summary_row

rows, failed, given = [], snakemake.params.failed, snakemake.input
finished = [name for name in snakemake.params.optics if name not in failed]
results = dict(zip(finished, zip(given.localizations, given.info, given.brownian, strict=True), strict=True))
for acquisition, optics in snakemake.params.optics.items():
    if acquisition in failed:
        rows.append(failed_row(acquisition, optics, failed[acquisition]))
        continue
    localizations, info, brownian = results[acquisition]
    flags = pd.read_parquet(localizations, columns=["flag"])["flag"]
    info, brownian = (json.loads(Path(file).read_text()) for file in (info, brownian))
    rows.append(summary_row(acquisition, optics, info, flags, brownian))

summary = summarize(rows)
tables.write(summary, snakemake.output.table)
style.save(motion.draw_summary(summary), snakemake.output.figure)
