"""Write the report, by Snakemake's own means, of everything that is made by now."""

from defocus3d.logs import start

log = start(snakemake)

from pathlib import Path

import pandas as pd

from defocus3d import files, nested
from defocus3d.figures import first_page
from defocus3d.provenance import WORKFLOW

given, params = snakemake.input, snakemake.params
summary = pd.read_csv(given.table, dtype={"acquisition": str}, keep_default_na=False, na_values=[""])
thumbnails = {name: Path(file).read_bytes() for name, file in zip(params.movies, given.thumbnails, strict=True)}
files.write(snakemake.output.page, first_page.verdicts(summary, thumbnails))
shown, targets = first_page.in_full(summary, Path("results")), list(params.figures)
targets += [f"results/acquisitions/{name}/figures/{file}" for name in shown for file in ("frame.png", "tracks.html")]
if len(shown) < len(summary):
    log.info("%d of %d acquisitions fit in full; the pictures of all are in results/acquisitions", len(shown), len(summary))
options = ["--report-stylesheet", WORKFLOW / "report" / "style.css"]
with files.whole(snakemake.output.report) as aside:
    code = nested.snakemake([given.table, *targets, "--report", aside, *options], snakemake.config)
    if code or not aside.exists():
        raise RuntimeError(f"snakemake --report ended with code {code}; the report was not written")
log.info("written to %s", snakemake.output.report)
