"""The layer that docs/how-to/layer.md adds runs, its test passes, and it is as short as said."""

import importlib.util
import sys
from pathlib import Path

import pytest
from demitasse.layers import registry

from ..layers import driver
from .test_blocks import ROOT, blocks

PAGE = ROOT / "docs" / "how-to" / "layer.md"
FILES = {block.file: block.text for block in blocks(PAGE) if block.file}
NAME = "demitasse.layers.softsign"


@pytest.fixture
def added(tmp_path, monkeypatch):
    """The layer as if it were in layers/, and in the registry."""
    path = tmp_path / "softsign.py"
    path.write_text(FILES["layers/softsign.py"])
    spec = importlib.util.spec_from_file_location(NAME, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, NAME, module)
    spec.loader.exec_module(module)
    assert '    "Softsign": "softsign",\n' in PAGE.read_text()
    monkeypatch.setitem(registry.MODULES, "Softsign", "softsign")


def test_it_is_less_than_forty_lines_with_its_row():
    assert len(FILES["layers/softsign.py"].splitlines()) + 1 < 40


def test_a_net_runs_it(added, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("soft.prototxt").write_text(FILES["soft.prototxt"])
    exec(compile(FILES["try.py"], str(PAGE), "exec"), {"__name__": "page"})
    promised = FILES["try.py"].rpartition("# ")[2]
    assert capsys.readouterr().out.split() == promised.split()


def test_its_own_test_passes_and_could_fail(added):
    text = FILES["tests/layers/test_softsign.py"]
    said = {"__name__": "page", "__package__": driver.__package__}
    exec(compile(text, str(PAGE), "exec"), said)
    said["test_gradient"]()
    said["Softsign"].backward_reads = ("bottom0",)  # the gradient is made from the top
    with pytest.raises(AssertionError):
        said["test_gradient"]()
