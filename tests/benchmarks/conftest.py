"""The benchmarks are scripts beside each other, not a package: their folder ends the path."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
