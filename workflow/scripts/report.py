"""Write the report, by Snakemake's own means, of everything that is made by now."""

from defocus3d.logs import start

log = start(snakemake)

from pathlib import Path

import pandas as pd

from defocus3d import nested
from defocus3d.figures.first_page import in_full
from defocus3d.files import whole
from defocus3d.provenance import WORKFLOW

summary = pd.read_csv("results/summary.csv", dtype={"acquisition": str}, keep_default_na=False, na_values=[""])
targets = list(snakemake.params.figures)
shown = in_full(summary, Path("results"))
targets += [f"results/acquisitions/{name}/figures/{file}" for name in shown for file in ("frame.png", "tracks.html")]
if len(shown) < len(summary):
    log.info("%d of %d acquisitions fit in full; the pictures of all are in results/acquisitions", len(shown), len(summary))
options = ["--report-stylesheet", WORKFLOW / "report" / "style.css"]
with whole(snakemake.output[0]) as aside:
    code = nested.snakemake(["results/summary.csv", *targets, "--report", aside, *options], snakemake.config)
    if code or not aside.exists():
        raise RuntimeError(f"snakemake --report ended with code {code}; the report was not written")
log.info("written to %s", snakemake.output[0])
