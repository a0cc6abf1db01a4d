"""Put all movies into one table and one picture."""

from defocus3d.logs import start

start(snakemake)

import json
from pathlib import Path

import pandas as pd

from defocus3d import tables
from defocus3d.figures import first_page, motion, style
from defocus3d.files import whole
from defocus3d.summary import failed_row, summarize, summary_row

rows, failed = [], snakemake.params.failed
files = zip(snakemake.input.localizations, snakemake.input.info, snakemake.input.brownian, strict=True)
for acquisition, optics in snakemake.params.optics.items():
    if acquisition in failed:
        rows.append(failed_row(acquisition, optics, failed[acquisition]))
        continue
    localizations, info, brownian = next(files)
    flags = pd.read_parquet(localizations, columns=["flag"])["flag"]
    info, brownian = (json.loads(Path(file).read_text()) for file in (info, brownian))
    rows.append(summary_row(acquisition, optics, info, flags, brownian))

summary = summarize(rows)
tables.write(summary, snakemake.output.table)
style.save(motion.draw_summary(summary), snakemake.output.figure)
finished = [name for name in snakemake.params.optics if name not in failed]
thumbnails = {name: Path(file).read_bytes() for name, file in zip(finished, snakemake.input.thumbnails, strict=True)}
with whole(snakemake.output.page) as aside:
    aside.write_text(first_page.verdicts(summary, thumbnails), encoding="utf-8")
