"""Parameter."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse import netspec
from demitasse.errors import ShapeError
from demitasse.layers.parameter import Parameter
from demitasse.net import Net
from hypothesis import given

from .driver import check_gradient, context, layer
from .strategies import few, shapes

PARAMETER = 'layer {{ name: "{0}" type: "Parameter" top: "{0}" {1} parameter_param {{ {2} }} }}'
LOSS = (
    'layer {{ name: "l{0}" type: "Reduction" bottom: "{0}" top: "l{0}" loss_weight: {1}'
    " reduction_param {{ operation: {2} }} }}"
)
TWO = "shape { dim: 2 }"


def parameter(shape):
    spec = layer("type: 'Parameter' parameter_param { shape {} }")
    del spec.bottom[:]
    spec.parameter_param.shape.dim.extend(shape)
    return spec


def build(*layers):
    net = Net(netspec.build(netspec.parse_net("\n".join(layers)), "TRAIN"), dtype=np.float64)
    for i, p in enumerate(net.learnable):
        net.params[p.layer][0].data[...] = np.arange(1, p.count + 1) * (i + 1)
    return net


@few
@given(shape=shapes(least=0))
def test_gradient(shape):
    rig = check_gradient(Parameter, parameter(shape), [])
    np.testing.assert_array_equal(rig.forward()[0], rig.params[0])


def test_it_learns_and_gradients_add_up():
    net = build(PARAMETER.format("w", "", TWO), LOSS.format("w", 0.5, "SUMSQ"))
    np.testing.assert_array_equal(net.forward(), 2.5)
    net.backward()
    net.forward()
    net.backward()  # as with iter_size 2
    np.testing.assert_array_equal(net.params["w"][0].diff, [2, 4])


def test_shared_with_another():
    shared = 'param { name: "s" }'
    net = build(
        PARAMETER.format("v", shared, TWO),
        PARAMETER.format("w", shared, TWO),
        LOSS.format("v", 1, "SUM"),
        LOSS.format("w", 2, "SUM"),
    )
    net.forward()
    net.backward()
    np.testing.assert_array_equal(net.params["v"][0].diff, [3, 3])


def test_it_starts_as_zero_and_takes_a_gradient_set_by_hand():
    net = Net(netspec.build(netspec.parse_net(PARAMETER.format("w", "", TWO)), "TRAIN"))
    net.forward()
    np.testing.assert_array_equal(net.blobs["w"].data, [0, 0])
    net.blobs["w"].diff[...] = [3, 4]
    net.backward()
    np.testing.assert_array_equal(net.params["w"][0].diff, [3, 4])


def test_frozen():
    net = build(
        PARAMETER.format("v", "param { lr_mult: 0 }", TWO),
        PARAMETER.format("w", "", TWO),
        LOSS.format("v", 1, "SUM"),
        LOSS.format("w", 1, "SUM"),
    )
    net.forward()
    net.backward()
    assert not net.params["v"][0].diff.any() and net.params["w"][0].diff.all()


def test_a_size_below_1():
    with pytest.raises(ShapeError, match=r"net:3:1: layer 'test' \(Parameter\).*shape 2x0"):
        Parameter(parameter((2, 0)), context(where="net:3:1")).shapes()
