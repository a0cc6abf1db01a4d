"""Write down versions, config, seeds, code and input checksums."""

from defocus3d.logs import start

start(snakemake)

import json

from defocus3d import files
from defocus3d.provenance import WORKFLOW, manifest

record = manifest(
    config=snakemake.params.config,
    code=snakemake.params.code,
    inputs=[*snakemake.input.sheets, *snakemake.input.data],
    environments=WORKFLOW.parent.glob("envs/*.yaml"),
    from_files=snakemake.params.from_files,
)
files.write(snakemake.output[0], json.dumps(record, indent=2) + "\n")
