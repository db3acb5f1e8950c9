"""Arrays stored channels last: which they are, and where they lie."""

import numpy as np
from demitasse import netspec
from demitasse.net import Net

from ..emulator.emulated import Emulated

NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 dim: 9 dim: 9 } } }
layer { name: "a" type: "Convolution" bottom: "x" top: "a"
        convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "r" type: "ReLU" bottom: "a" top: "a" }
layer { name: "b" type: "Convolution" bottom: "a" top: "b"
        convolution_param { num_output: 6 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "cat" type: "Concat" bottom: "b" bottom: "a" top: "cat" }
layer { name: "c" type: "Convolution" bottom: "cat" top: "c"
        convolution_param { num_output: 5 kernel_size: 3 weight_filler { type: "xavier" } } }
LAST
"""


def nets(last):
    graph = netspec.build(netspec.parse_net(NET.replace("LAST", last)), "TEST")
    settings = {"seed": 1, "backward": True, "poison": True}
    return Net(graph, **settings), Net(graph, device=Emulated(), **settings)


def blob(net, name):
    return next(blob for value, blob in net.values.items() if value.blob == name)


def test_a_concats_bottoms_are_some_of_its_tops_channels():
    here, there = nets(
        'layer { name: "l" type: "Reduction" bottom: "c" top: "l" loss_weight: 1 '
        "reduction_param { operation: SUMSQ } }"
    )
    joined, one, two = (blob(there, name).data.host for name in ("cat", "b", "a"))
    assert joined.strides[1] == 4 and one.strides == joined.strides
    assert np.shares_memory(one, joined[:, :6]) and np.shares_memory(two, joined[:, 6:])
    assert not np.shares_memory(two, joined[:, :6])
    x = np.random.default_rng(0).standard_normal((1, 4, 9, 9), np.float32)
    for net in (here, there):
        net.blobs["x"].data[...] = x
        net.forward()
        net.clear_param_diffs()
        net.backward()
    np.testing.assert_allclose(there.read("l"), here.read("l"), rtol=1e-5)
    np.testing.assert_allclose(there.flat_diff.get(), here.flat_diff, rtol=1e-4, atol=1e-5)


def test_a_layer_that_wants_one_order_gets_it():
    _, net = nets('layer { name: "e" type: "ELU" bottom: "c" top: "e" }')
    assert blob(net, "c").data.host.flags.c_contiguous
    assert not blob(net, "cat").data.host.flags.c_contiguous


def test_the_cpu_stores_channels_first():
    net, _ = nets("")
    assert not net.planned.plan.last and not net.planned.plan.among
