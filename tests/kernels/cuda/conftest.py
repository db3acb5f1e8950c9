"""A CuPy that has no card."""

import sys

import pytest

from ...emulator.cupy import FakeCupy


@pytest.fixture
def cupy(monkeypatch):
    def installed(**settings):
        made = FakeCupy(**settings)
        for name, module in made.names().items():
            monkeypatch.setitem(sys.modules, name, module)
        return made

    return installed
