"""Makes `import defocus3d` work in every test, as Snakemake does for the scripts."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
