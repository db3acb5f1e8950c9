"""Nets with Python layers: whoever builds one runs its code only if that is allowed."""

import sys
from pathlib import Path

import numpy as np
import pytest
from demitasse import weights
from demitasse.tools import draw, export, modeldef, port, report, solve
from demitasse.tools._main import guarded

pytestmark = pytest.mark.usefixtures("tiny")

CODE = """from demitasse.layers.scripted import PythonLayer
class Half(PythonLayer):
    def setup(self, bottom, top): pass
    def reshape(self, bottom, top): top[0].reshape(*bottom[0].shape)
    def forward(self, bottom, top): top[0].data[...] = bottom[0].data / 2
    def backward(self, top, down, bottom): bottom[0].diff[...] = top[0].diff / 2
"""
LAYER = """layer { name: "py" type: "Python" bottom: "u0" top: "half"
  python_param { module: "halving" layer: "Half" } }
layer { name: "crop\""""
ALLOWED = "--allow-python-layers"


@pytest.fixture
def scripted(tmp_path, monkeypatch):
    """p.h5, of a net in which a Python layer halves what the up-convolution gives."""
    Path("halving.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = Path("net.prototxt").read_text().replace('layer { name: "crop"', LAYER)
    Path("net.prototxt").write_text(
        text.replace('bottom: "u0" bottom: "s0"', 'bottom: "half" bottom: "s0"')
    )
    assert guarded(solve.main, ["solver.prototxt", "--prefix", "p", ALLOWED]) == 0
    yield
    sys.modules.pop("halving", None)


@pytest.mark.parametrize(
    ("main", "argv"),
    [
        (export.main, ["--to", "safetensors", "--weights", "p.h5", "-o", "out.safetensors"]),
        (port.main, ["p_iter_4.caffemodel.h5", "-net", "net.prototxt", "-o", "out.h5"]),
        (port.main, ["p_iter_4.caffemodel.h5", "-net", "net.prototxt", "-o", "out.caffemodel"]),
    ],
    ids=["export", "port to a model", "port"],
)
def test_a_command_that_refuses_them_knows_the_option_it_names(main, argv, scripted, capsys):
    if main is export.main:
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    assert guarded(main, argv) == 2
    assert f"If you trust it, give {ALLOWED}" in capsys.readouterr().err
    assert not list(Path().glob("out*"))
    assert guarded(main, [*argv, ALLOWED]) == 0
    said = capsys.readouterr().out
    if "out.h5" in argv:
        assert "ready for" in said
        kept = weights.read("p.h5").layers["d0"][0]
        np.testing.assert_array_equal(weights.read("out.h5").layers["d0"][0], kept)


def test_a_report_runs_them_where_that_is_allowed(scripted):
    said = {}
    for words in ((), (ALLOWED,)):
        assert guarded(report.main, [".", "-o", "r.html", "--overwrite", *words]) == 0
        said[words] = Path("r.html").read_text()
    assert "give --allow-python-layers" in said[()] and "Worst 1" not in said[()]
    assert "give --allow" not in said[ALLOWED,] and "Worst 1" in said[ALLOWED,]


def test_a_drawing_runs_no_code(scripted, monkeypatch):
    monkeypatch.setitem(sys.modules, "halving", None)  # an import would fail
    assert guarded(draw.main, ["net.prototxt", "-o", "net.svg"]) == 0


def test_a_model_definition_of_such_a_net(scripted, capsys):
    text = Path("net.prototxt").read_text().replace('"data"', '"data3"')
    Path("net3.prototxt").write_text(text)
    argv = ["net3.prototxt", "solver.prototxt", "--element-size", "1x1", "-o", "m.modeldef.h5"]
    assert guarded(modeldef.main, argv) == 2
    assert f"give {ALLOWED}" in capsys.readouterr().err
    assert guarded(modeldef.main, [*argv, ALLOWED]) == 0
