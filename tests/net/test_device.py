"""Whole nets on a device whose arrays are not the host's: the same numbers, nothing mixed."""

import h5py
import numpy as np
import pytest
from demitasse import netspec
from demitasse.net import Net
from devices import EMULATOR, WHERE, device

from .test_golden_nets import CASES, NETS, close, load


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_as_recorded(case, where):
    large = case == "unet_narrow" and where == EMULATOR  # strict is a third of the emulation
    precision = "fp32-strict" if large else "fp32"
    net = load(NETS / case, poison=True, device=device(where, precision))
    with h5py.File(NETS / case / "io.h5") as io:
        net.forward()
        for name in net.outputs:
            close(net.read(name), io["data"][name], 1e-5, f"data of {name}")
        if "diff" not in io:
            return
        net.clear_param_diffs()
        net.backward()
        tolerance = float(io.attrs.get("tol_diff", 1e-4))
        for layer, diffs in io["params_diff"].items():
            for i, diff in diffs.items():
                got = net.device.host(net.params[layer][int(i)].diff)
                close(got, diff, tolerance, f"diff of {layer}/{i}")


@pytest.mark.parametrize("where", WHERE)
def test_a_net_takes_other_sizes(where):
    text = """
        layer { name: "in" type: "Input" top: "x"
                input_param { shape { dim: 1 dim: 2 dim: 6 dim: 6 } } }
        layer { name: "c" type: "Convolution" bottom: "x" top: "y"
                convolution_param {
                  num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } } }
    """
    graph = netspec.build(netspec.parse_net(text), "TEST")
    here, there = Net(graph, seed=3), Net(graph, seed=3, device=device(where))
    for size in (6, 9, 5):
        x = np.random.default_rng(size).standard_normal((1, 2, size, size), np.float32)
        for net in (here, there):
            net.reshape({"x": x.shape})
            net.blobs["x"].data[...] = x
            net.forward()
        np.testing.assert_allclose(there.read("y"), here.read("y"), rtol=1e-6, atol=1e-6)


CHAIN = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 1 dim: 9 dim: 9 } } }
layer { name: "a" type: "Convolution" bottom: "x" top: "a"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "ra" type: "ReLU" bottom: "a" top: "a" }
layer { name: "b" type: "Convolution" bottom: "a" top: "b"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "rb" type: "ReLU" bottom: "b" top: "b" }
layer { name: "u" type: "Deconvolution" bottom: "b" top: "u" param { lr_mult: 0 }
        convolution_param { num_output: 3 kernel_size: 2 stride: 2
                            weight_filler { type: "msra" } } }
layer { name: "ru" type: "ReLU" bottom: "u" top: "u" relu_param { negative_slope: 0.1 } }
layer { name: "s" type: "Convolution" bottom: "u" top: "s"
        convolution_param { num_output: 2 kernel_size: 1 weight_filler { type: "msra" } } }
layer { name: "l" type: "Input" top: "l" input_param { shape { dim: 1 dim: 1 dim: 10 dim: 10 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "s" bottom: "l" top: "loss" }
"""


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("recompute", [False, True])
def test_a_rectifier_is_undone_by_the_convolution_above_it(where, recompute):
    """A plain one: of another slope the gradient is not simply cut off."""
    graph = netspec.build(netspec.parse_net(CHAIN), "TRAIN")
    options = {"seed": 3, "recompute": recompute, "poison": True}
    nets = [Net(graph, **options), Net(graph, device=device(where), **options)]
    x = np.random.default_rng(0).standard_normal((1, 1, 9, 9), np.float32)
    for net in nets:
        net.blobs["x"].data[...] = x
        net.blobs["l"].data[...] = np.arange(100).reshape(1, 1, 10, 10) % 3 == 1
        net.forward()
        net.clear_param_diffs()
        net.backward()
    names = {node.name: node.index for node in graph.nodes}
    assert not nets[0].planned.fused.picked
    assert nets[1].planned.fused.picked == {names["a"]: {names["b"]}, names["b"]: {names["u"]}}
    found, expected = nets[1].device.host(nets[1].flat_diff), nets[0].flat_diff
    assert np.linalg.norm(found - expected) <= 1e-5 * np.linalg.norm(expected)


AUGMENTED = """
layer { name: "data" type: "DummyData" top: "x" dummy_data_param {
        shape { dim: 1 dim: 1 dim: 24 dim: 24 } data_filler { type: "uniform" } } }
layer { name: "field" type: "CreateDeformation" bottom: "x" top: "field"
        create_deformation_param {
          batch_size: 1 ny: 18 nx: 16 random_offset_range_from_in_blob_shape: true
          random_elastic_grid_spacing { v: 9 v: 8 } random_elastic_deform_magnitude { v: 2 v: 2 }
          random_rotate_from { v: 0 } random_rotate_to { v: 360 } } }
layer { name: "bent" type: "ApplyDeformation" bottom: "x" bottom: "field" top: "bent" }
layer { name: "grey" type: "ValueAugmentation" bottom: "bent" top: "grey"
        value_augmentation_param { black_from: 0 black_to: 0.05 white_from: 0.95 white_to: 1
                                   slope_min: 0.5 slope_max: 2 lut_size: 64 } }
layer { name: "moved" type: "ValueTransformation" bottom: "grey" top: "moved"
        value_transformation_param { offset { v: -0.5 } scale { v: 2 } } }
"""


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("ahead", [False, True])
def test_tiles_are_bent_alike_on_every_device(ahead, where):
    """Ahead of training the host bends them, else the device does."""
    graph = netspec.build(netspec.parse_net(AUGMENTED), "TRAIN")
    here = Net(graph, seed=3, backward=False)
    there = Net(graph, seed=3, backward=False, device=device(where), ahead=ahead)
    assert (there.ahead is not None) == ahead
    for _ in range(3):
        here.forward()
        there.forward()
        np.testing.assert_allclose(there.read("moved"), here.read("moved"), rtol=1e-4, atol=1e-4)
