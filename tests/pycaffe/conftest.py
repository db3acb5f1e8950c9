import numpy as np
import pytest
from demitasse.pycaffe import settings
from devices import EMULATOR, device

IMAGE_NET = """
name: "small"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 2 dim: 3 dim: 6 dim: 5 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "gaussian" std: 0.3 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { pool: AVE global_pooling: true } }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip"
  inner_product_param { num_output: 3 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""

LEARNING_NET = """
name: "learner" force_backward: true
layer { name: "data" type: "DummyData" top: "data" top: "label"
  dummy_data_param { shape { dim: 5 dim: 2 dim: 3 } shape { dim: 5 }
    data_filler { type: "gaussian" } data_filler { type: "constant" } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """No solver lines, and settings that the next test does not see."""
    monkeypatch.setenv("GLOG_minloglevel", "2")
    monkeypatch.setattr(settings, "current", settings.Settings())


@pytest.fixture(params=["cpu", "emulator"])
def where(request, monkeypatch):
    """Nets are made on the CPU, and on a device whose arrays are not the host's."""
    if request.param == "emulator":
        made = device(EMULATOR)
        monkeypatch.setattr(settings, "device", lambda: made)
    return request.param


@pytest.fixture
def image_net(tmp_path):
    path = tmp_path / "image.prototxt"
    path.write_text(IMAGE_NET)
    return str(path)


@pytest.fixture
def learning_net(tmp_path):
    path = tmp_path / "learning.prototxt"
    path.write_text(LEARNING_NET)
    return str(path)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
