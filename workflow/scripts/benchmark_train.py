"""Run this workflow on the simulated bead stacks, up to the evaluation of the networks, and keep what localization needs of it."""

from defocus3d.logs import start

log = start(snakemake)

from pathlib import Path

from defocus3d import files, nested
from defocus3d.benchmark import analysis

folder = Path(snakemake.params.folder)
config = analysis.write(folder, snakemake.params.data, snakemake.params.size)
log.info("an analysis of the simulated stacks, in %s; what it does is told in %s", folder, snakemake.log[0])
targets = [analysis.results(Path(), file) for file in snakemake.params.files]
code = nested.snakemake([*targets, *snakemake.params.options], config, folder, snakemake.threads)
if code:
    raise RuntimeError(f"Snakemake ended with code {code} in {folder}; logs of its jobs are in {folder / 'results' / 'logs'}")
analysis.collect(folder, snakemake.output.optics)
files.write(snakemake.output.seconds, analysis.seconds(folder))
