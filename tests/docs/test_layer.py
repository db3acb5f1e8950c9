"""The layers of docs/how-to/layer.md run, their gradients are right, and Softsign is as short as
said, from the caller's folder and in the house."""

import importlib
import sys

import numpy as np
import pytest
from demitasse.layers import registry

from ..layers import driver
from ..layers.strategies import numbers
from .test_blocks import ROOT, blocks

PAGE = ROOT / "docs" / "how-to" / "layer.md"
FILES = {block.file: block.text for block in blocks(PAGE) if block.file}
MODULES = ("softsign", "temperature", "dice")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The page's files, where Python finds them; in a house that has no Softsign, or not yet."""
    monkeypatch.delitem(registry.MODULES, "Softsign", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in FILES.items():
        if "/" not in name:
            (tmp_path / name).write_text(text)
    yield
    for name in MODULES:
        sys.modules.pop(name, None)


def run(name):
    exec(compile(FILES[name], str(PAGE), "exec"), {"__name__": "page"})


def test_softsign_is_less_than_thirty_lines():
    assert len(FILES["softsign.py"].splitlines()) < 30


def test_a_net_runs_it(capsys):
    run("try.py")
    promised = FILES["try.py"].rpartition("# ")[2]
    assert capsys.readouterr().out.split() == promised.split()


def test_the_difference_is_the_gradient(capsys):
    run("check.py")
    difference, gradient = map(float, capsys.readouterr().out.split())
    assert difference == pytest.approx(gradient, rel=1e-4) and abs(gradient) > 1e-4


def test_its_own_test_passes_and_could_fail(monkeypatch):
    """As if the layer were in layers/, and in the registry."""
    name = "demitasse.layers.softsign"
    monkeypatch.setitem(sys.modules, name, importlib.import_module("softsign"))
    assert '    "Softsign": "softsign",\n' in PAGE.read_text()
    monkeypatch.setitem(registry.MODULES, "Softsign", "softsign")
    assert registry.layer_class("Softsign").__name__ == "Softsign"
    text = FILES["tests/layers/test_softsign.py"]
    said = {"__name__": "page", "__package__": driver.__package__}
    exec(compile(text, str(PAGE), "exec"), said)
    said["test_gradient"]()
    said["Softsign"].backward_reads = ("bottom0",)  # the gradient is made from the top
    with pytest.raises(AssertionError):
        said["test_gradient"]()


def test_the_gradients_of_the_others():
    temperature = importlib.import_module("temperature").Temperature
    spec = driver.layer("type: 'Temperature'")
    driver.check_gradient(temperature, spec, [numbers((2, 3, 4))], params=[np.array(1.7)])
    dice = importlib.import_module("dice").Dice
    spec = driver.layer("type: 'Dice' bottom: 'p' bottom: 'y' top: 'l'")
    bottoms = [np.abs(numbers((2, 2, 3, 4))), numbers((2, 1, 3, 4)) > 0]
    driver.check_gradient(dice, spec, bottoms)
