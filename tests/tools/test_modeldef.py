"""Making a model of the Fiji plugin: its sizes come from the net."""

import re
from pathlib import Path

import pytest
from demitasse.tools import modeldef
from demitasse.tools._main import guarded
from demitasse.weights import read_modeldef

MODELS = Path(__file__).resolve().parents[2] / "models"
CONV = """layer {{ name: "{0}" type: "Convolution" bottom: "{1}" top: "{0}"
  convolution_param {{ {2} }} }}
"""
FLAT, CUBE = "kernel_size: 1 kernel_size: 3 kernel_size: 3", "kernel_size: 3"
POOL = """layer { name: "p" type: "Pooling" bottom: "a" top: "p" pooling_param { pool: MAX
  kernel_size: 1 kernel_size: 2 kernel_size: 2 stride: 1 stride: 2 stride: 2 } }
layer { name: "q" type: "Pooling" bottom: "b" top: "q" pooling_param { pool: MAX kernel_size: 2
  stride: 2 } }
"""
UP = """layer { name: "u" type: "Deconvolution" bottom: "c" top: "u"
  convolution_param { num_output: 2 kernel_size: 2 kernel_size: 4 kernel_size: 4
  stride: 2 stride: 4 stride: 4 } }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("solver.prototxt").write_text("base_lr: 1e-5")


def make(net, *argv, code=0):
    argv = [str(net), "solver.prototxt", "-o", "m.modeldef.h5", *argv]
    assert guarded(modeldef.main, argv) == code


def test_the_u_net_of_2015(capsys):
    text = (MODELS / "unet.prototxt").read_text()
    Path("net.prototxt").write_text(text)
    blob = re.search(r'top: "(\w+)"', text)[1]
    make("net.prototxt", "--element-size", "0.5x0.5", "--input", blob, "--classes", "none,cell")
    got = read_modeldef("m.modeldef.h5")
    assert got.downsample_factor == (16, 16)
    assert got.pad_input == (60, 60) and got.pad_output == (-124, -124)
    assert got.class_names == ("none", "cell") and got.model_prototxt == text
    assert "(16, 16) d + (60, 60) pixels" in capsys.readouterr().out
    assert guarded(modeldef.main, ["--show", "m.modeldef.h5"]) == 0
    assert "cell" in capsys.readouterr().out


def test_axes_that_differ():
    """z: conv 1, pool 1, conv 3, pool 2, conv 3, up 2; y and x: 3, 2, 3, 2, 3, up 4."""
    Path("net.prototxt").write_text(
        CONV.format("a", "data3", "num_output: 2 " + FLAT)
        + POOL.splitlines(keepends=True)[0]
        + POOL.splitlines(keepends=True)[1]
        + CONV.format("b", "p", "num_output: 2 " + CUBE)
        + "".join(POOL.splitlines(keepends=True)[2:])
        + CONV.format("c", "q", "num_output: 2 " + CUBE)
        + UP
    )
    make("net.prototxt", "--element-size", "1x0.5x0.5", "--normalization", "zscore")
    got = read_modeldef("m.modeldef.h5")
    assert got.downsample_factor == (2, 4, 4)
    assert got.pad_input == (2, 6, 6)  # z: 2 d + 2; y: (2 d + 2) 2 + 2
    assert got.pad_output == (-4, -8, -8)  # z: 2 (d - 2); y: 4 (d - 2)
    assert (got.axes, got.normalization) == (3, "zscore")


def test_what_cannot_be_made_is_refused(capsys):
    make("absent.prototxt", "--element-size", "1x1", code=2)
    make(MODELS / "unet.prototxt", "--element-size", "1x1", "--input", "nothing", code=2)
    said = capsys.readouterr().err
    assert "absent.prototxt" in said and "no layer reads the input blob 'nothing'" in said
    assert not Path("m.modeldef.h5").exists()
