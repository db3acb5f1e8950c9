"""ReLU."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse import netspec
from demitasse.kernels.strips import LENGTH
from demitasse.layers.relu import ReLU
from demitasse.net import Net
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, context, layer
from .strategies import few, numbers, shapes


def spec(slope=0.0, in_place=False):
    top = "x" if in_place else "y"
    return layer(f"type: 'ReLU' bottom: 'x' top: '{top}' relu_param {{ negative_slope: {slope} }}")


@few
@given(
    shape=shapes(),
    slope=st.sampled_from([0, 0.1, 1, 1.5, -0.5]),
    in_place=st.booleans(),
)
def test_gradient(shape, slope, in_place):
    in_place = in_place and slope >= 0
    x = numbers(shape)
    rig = check_gradient(ReLU, spec(slope, in_place), [x], kinks=[0.0], in_place=in_place)
    np.testing.assert_allclose(rig.forward()[0], np.where(x > 0, x, slope * x), rtol=1e-6)


@pytest.mark.parametrize("slope", [0, 0.1])
def test_more_than_one_strip(slope):
    x = np.linspace(-1, 1, 2 * LENGTH + 5).astype("f4")
    rig = Rig(ReLU, spec(slope), [x], dtype=np.float32)
    (y,) = rig.forward()
    np.testing.assert_array_equal(y, np.where(x > 0, x, x * np.float32(slope)))
    (dx,), _ = rig.backward([x + 2])
    np.testing.assert_array_equal(dx, (x + 2) * np.where(x > 0, 1, np.float32(slope)))


def test_nothing_passes_at_zero_but_the_slope():
    for slope in (0, 0.25):
        rig = Rig(ReLU, spec(slope), [np.zeros(3)])
        rig.forward()
        (dx,), _ = rig.backward([np.ones(3)])
        np.testing.assert_array_equal(dx, slope)


def test_backward_reads_one_array_only():
    assert ReLU(spec(0), context()).backward_reads == ("top0",)
    assert ReLU(spec(-0.1), context()).backward_reads == ("bottom0",)


def test_a_net_keeps_what_a_slope_below_zero_needs_in_place():
    text = """
      layer { name: "i" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
      layer { name: "a" type: "InnerProduct" bottom: "x" top: "y" inner_product_param {
        num_output: 4 weight_filler { type: "gaussian" std: 1 } } }
      layer { name: "r" type: "ReLU" bottom: "y" top: "%s" relu_param { negative_slope: -0.5 } }
      layer { name: "l" type: "Reduction" bottom: "%s" top: "l" loss_weight: 1 }"""
    gradients = []
    for top in "y", "z":
        net = Net(netspec.build(netspec.parse_net(text % (top, top)), "TRAIN"), seed=1)
        net.blobs["x"].data[...] = numbers((2, 3))
        net.forward()
        net.backward()
        gradients.append(net.flat_diff.copy())
    np.testing.assert_array_equal(*gradients)
    assert gradients[0].any()
