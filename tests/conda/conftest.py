"""Makes the tiny analysis of tests/workflow importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
