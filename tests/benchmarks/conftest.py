"""The benchmarks are scripts beside each other, not a package: their folder leads the path,
before the repository, which has a `layers` too."""

import sys
from pathlib import Path

import pytest

FOLDER = str(Path(__file__).resolve().parents[2] / "benchmarks")
sys.path.insert(0, FOLDER)


@pytest.fixture(autouse=True)
def leads(monkeypatch):
    """Also where another test has put the repository before it."""
    monkeypatch.syspath_prepend(FOLDER)
    if hasattr(sys.modules.get("layers"), "__path__"):  # a package, so the repository's
        monkeypatch.delitem(sys.modules, "layers")
