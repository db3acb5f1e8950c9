"""Absorbed rectifiers: the same bits, and only where nobody can tell."""

import numpy as np
import pytest
from demitasse import netspec
from demitasse.net import Net

CONV = """
layer {{ name: "conv{i}" type: "Convolution" bottom: "{bottom}" top: "{top}"
  convolution_param {{ num_output: 16 kernel_size: 3 weight_filler {{ type: "msra" }}
    bias_filler {{ type: "gaussian" std: 0.1 }} engine: {engine} }} }}
"""


def relu(blob, top=None, slope=0):
    top = top or blob
    param = f"relu_param {{ negative_slope: {slope} }}"
    return f'layer {{ name: "relu_{top}" type: "ReLU" bottom: "{blob}" top: "{top}" {param} }}'


def build(middle="", *, second="a", slope=0, engine="DEFAULT", **settings):
    """Input -> conv1 -> middle (a ReLU in place) -> conv2 -> ReLU -> half the sum of squares."""
    text = 'layer { name: "data" type: "Input" top: "data" '
    text += "input_param { shape { dim: 1 dim: 16 dim: 110 dim: 106 } } }"
    text += 'layer { name: "zero" type: "DummyData" top: "zero" dummy_data_param '
    text += "{ shape { dim: 1 dim: 16 dim: 106 dim: 102 } } }"
    text += CONV.format(i=1, bottom="data", top="a", engine=engine)
    text += middle or relu("a", slope=slope)
    text += CONV.format(i=2, bottom=second, top="b", engine=engine) + relu("b", slope=slope)
    text += 'layer { name: "loss" type: "EuclideanLoss" bottom: "b" bottom: "zero" top: "loss" }'
    return Net(netspec.build(netspec.parse_net(text), "TRAIN"), seed=3, **settings)


def run(net):
    net.blobs["data"].data[...] = np.random.default_rng(0).standard_normal((1, 16, 110, 106))
    net.clear_param_diffs()
    loss = net.forward()
    net.backward()
    return loss, net.flat_diff.copy()


@pytest.mark.parametrize("slope", [0, 0.1])
def test_the_same_bits(slope):
    fused, kept = build(slope=slope, poison=True), build(slope=slope, keep=True)
    assert len(fused.planned.fused.rectifiers) == 2 and not kept.planned.fused.rectifiers
    assert [layer.absorbed for layer in fused.layers if layer.type == "ReLU"] == [True, True]
    (loss, diff), (other_loss, other_diff) = run(fused), run(kept)
    assert loss == other_loss
    np.testing.assert_array_equal(diff, other_diff)


@pytest.mark.parametrize(
    ("middle", "second", "absorbed"),
    [
        (relu("a", "r"), "r", 1),
        (relu("a") + 'layer { name: "d" type: "Dropout" bottom: "a" top: "a" }', "a", 2),
    ],
    ids=["a top of its own", "dropout in place"],
)
def test_what_others_read_stays(middle, second, absorbed):
    plain = build(middle, second=second, poison=True)
    kept = build(middle, second=second, keep=True)
    assert len(plain.planned.fused.rectifiers) == absorbed
    (loss, diff), (other_loss, other_diff) = run(plain), run(kept)
    assert loss == other_loss
    np.testing.assert_array_equal(diff, other_diff)


@pytest.mark.parametrize("settings", [{"engine": "CAFFE"}, {"dtype": np.float64}])
def test_im2col_absorbs_only_a_plain_rectifier(settings):
    assert not build(slope=0.1, **settings).planned.fused.rectifiers
    fused, kept = build(poison=True, **settings), build(keep=True, **settings)
    assert len(fused.planned.fused.rectifiers) == 2
    (loss, diff), (other_loss, other_diff) = run(fused), run(kept)
    assert loss == other_loss
    np.testing.assert_array_equal(diff, other_diff)
