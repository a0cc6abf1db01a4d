"""Put all movies into one table and one picture."""

from defocus3d.logs import start

start(snakemake)

import json
from pathlib import Path

import pandas as pd

from defocus3d import tables
from defocus3d.figures import first_page, motion, style
from defocus3d.summary import summarize, summary_row

rows = []
files = zip(snakemake.input.localizations, snakemake.input.info, snakemake.input.brownian, strict=True)
for (acquisition, optics), (localizations, info, brownian) in zip(snakemake.params.optics.items(), files, strict=True):
    flags = pd.read_parquet(localizations, columns=["flag"])["flag"]
    info, brownian = (json.loads(Path(file).read_text()) for file in (info, brownian))
    rows.append(summary_row(acquisition, optics, info, flags, brownian))

summary = summarize(rows)
tables.write(summary, snakemake.output.table)
style.save(motion.draw_summary(summary), snakemake.output.figure)
thumbnails = [Path(file).read_bytes() for file in snakemake.input.thumbnails]
Path(snakemake.output.page).write_text(first_page.verdicts(summary, thumbnails), encoding="utf-8")
