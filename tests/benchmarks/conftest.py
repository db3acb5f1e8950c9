"""The benchmarks are scripts beside each other, not a package: their folder leads the path,
before the repository, which has a `layers` too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
