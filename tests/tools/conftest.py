"""A tiny U-Net, its data and an image, in a folder of their own."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from demitasse import netspec, weights
from demitasse.net import Net
from demitasse.tools import _device, solve
from demitasse.tools._main import guarded
from emulator.cupy import FakeCupy

NET = """name: "tiny"
layer { name: "rows" type: "HDF5Data" top: "data" top: "label" top: "weight"
  hdf5_data_param { source: "train.txt" batch_size: 1 } }
layer { name: "d0" type: "Convolution" bottom: "data" top: "d0"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "r0" type: "ReLU" bottom: "d0" top: "d0" }
layer { name: "pool" type: "Pooling" bottom: "d0" top: "d1"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "d1" type: "Convolution" bottom: "d1" top: "e1"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "up" type: "Deconvolution" bottom: "e1" top: "u0"
  convolution_param { num_output: 4 kernel_size: 2 stride: 2 weight_filler { type: "msra" } } }
layer { name: "crop" type: "Crop" bottom: "d0" bottom: "u0" top: "s0" crop_param { axis: 2 offset: 2 } }
layer { name: "cat" type: "Concat" bottom: "u0" bottom: "s0" top: "v0" }
layer { name: "score" type: "Convolution" bottom: "v0" top: "score"
  convolution_param { num_output: 2 kernel_size: 1 weight_filler { type: "msra" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" bottom: "weight" top: "loss" }
"""  # noqa: E501
SOLVER = """net: "net.prototxt"
base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 max_iter: 4 random_seed: 1 snapshot: 2
snapshot_prefix: "tiny" snapshot_format: HDF5
"""
SIZE, OUT = 22, 16


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A folder, the current one, with net.prototxt, solver.prototxt, train.txt and img.tif."""
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(NET)
    Path("solver.prototxt").write_text(SOLVER)
    Path("train.txt").write_text("train.h5\n")
    write_data()
    tifffile.imwrite("img.tif", np.arange(40 * 50, dtype=np.uint8).reshape(40, 50))
    return tmp_path


def write_data(**arrays):
    rng = np.random.default_rng(0)
    with h5py.File("train.h5", "w") as file:
        file["data"] = arrays.get("data", rng.standard_normal((3, 1, SIZE, SIZE)).astype("f4"))
        file["label"] = arrays.get("label", rng.integers(0, 2, (3, 1, OUT, OUT)).astype("u1"))
        file["weight"] = arrays.get("weight", np.ones((3, 1, OUT, OUT), "f4"))


@pytest.fixture
def write():
    """Write train.h5 anew with other arrays."""
    return write_data


@pytest.fixture
def trained(tiny):
    """tiny.h5, after four iterations."""
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    return Path("tiny.h5")


@pytest.fixture
def cards(monkeypatch):
    """Two cards, through a CuPy that has none."""
    made = FakeCupy(count=2)
    for name, module in made.names().items():
        monkeypatch.setitem(sys.modules, name, module)
    _device._card.cache_clear()
    yield made
    _device._card.cache_clear()


@pytest.fixture
def deep(tmp_path, monkeypatch):
    """deep.h5, in the current folder: a net for volumes that looks at each voxel alone."""
    monkeypatch.chdir(tmp_path)
    text = """layer { name: "in" type: "Input" top: "data"
      input_param { shape { dim: 1 dim: 1 dim: 2 dim: 2 dim: 2 } } }
    layer { name: "score" type: "Convolution" bottom: "data" top: "score"
      convolution_param { num_output: 2 kernel_size: [1, 1, 1] bias_term: false } }"""
    net = Net(netspec.build(netspec.parse_net(text, "deep"), "TEST"))
    model = weights.Model(
        deploy=text,
        normalization={"name": "none", "parameters": {}},
        class_names=("none", "cell"),
        input_channels=1,
        padding="mirror",
        pixel_size=(),
        origin={},
    )
    filters = np.array([0.0, 1.0], np.float32).reshape(2, 1, 1, 1, 1)  # p > 0.5 where x > 0
    weights.write_model("deep.h5", {**net.parameters(), "score": [filters]}, model)
