"""Pictures of nets."""

import builtins
import shutil

import pytest
from demitasse.errors import OutputError
from demitasse.pycaffe import draw
from demitasse.pycaffe.proto import caffe_pb2
from google.protobuf import text_format

NET = """
name: "a net"
layer { name: "d" type: "Data" top: "data" data_param { batch_size: 9 } include { phase: TRAIN } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  param { lr_mult: 3 } convolution_param { num_output: 4 kernel_size: 3 stride: 2 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { pool: AVE kernel_size: 2 pad: 1 } }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip" exclude { phase: TEST } }
"""


@pytest.fixture
def net():
    return text_format.Merge(NET, caffe_pb2.NetParameter())


def test_the_graph_says_what_layers_do(net):
    pytest.importorskip("pydot", reason="drawing needs the extra 'draw'")
    text = draw.draw_net(net, "LR", "raw", display_lrm=True).decode()
    assert 'digraph "a net"' in text and "rankdir=LR" in text
    for label in (
        r"conv\n(Convolution)\nkernel size: 3\nstride: 2\npad: 0\nlr mult: 3.0, 1.0",
        r"pool\n(Pooling AVE)\nkernel size: 2\nstride: 1\npad: 1",
        r"relu\n(ReLU)",
    ):
        assert f'label="{label}"' in text
    assert "Batch 9" in text and "octagon" in text
    down = draw.draw_net(net, "TB", "raw").decode()
    assert "conv (Convolution) kernel size: 3 stride: 2 pad: 0" in down


def test_a_phase_leaves_layers_out(net):
    pytest.importorskip("pydot", reason="drawing needs the extra 'draw'")
    everything, train, test = (
        {node.get_name() for node in draw.get_pydot_graph(net, "LR", phase=p).get_nodes()}
        for p in (None, caffe_pb2.TRAIN, caffe_pb2.TEST)
    )
    assert everything == train
    assert train - test == {'"d_Data"', '"ip_InnerProduct"', '"ip_blob"'}
    net.layer[0].exclude.add()
    with pytest.raises(ValueError, match="both include and exclude"):
        draw.get_pydot_graph(net, "LR", phase=0)


def test_a_picture_is_written(net, tmp_path):
    pytest.importorskip("pydot", reason="drawing needs the extra 'draw'")
    if shutil.which("dot") is None:
        with pytest.raises(OutputError, match="graphviz"):
            draw.draw_net_to_file(net, str(tmp_path / "net.png"))
        assert not (tmp_path / "net.png").exists()
        return
    draw.draw_net_to_file(net, str(tmp_path / "net.png"))
    assert (tmp_path / "net.png").read_bytes().startswith(b"\x89PNG")


def test_without_pydot_it_says_what_to_install(net, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "pydot":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OutputError, match="pip install pydot"):
        draw.draw_net(net, "LR")


def test_rates_of_layers(net):
    assert draw.get_layer_lr_mult(net.layer[1]) == (3, 1)
    assert draw.get_layer_lr_mult(net.layer[4]) == (1, 1)
    with pytest.raises(ValueError, match="do not have a learning rate"):
        draw.get_layer_lr_mult(net.layer[2])
