"""Convolution and Deconvolution: gradients, several bottoms, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from demitasse.errors import DemitasseError, GraphError, ShapeError, SpecError
from demitasse.kernels.convolution import WINOGRAD
from demitasse.kernels.im2col import Window
from demitasse.layers.convolution import Convolution
from demitasse.layers.deconvolution import Deconvolution
from hypothesis import assume, given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, context, layer
from .strategies import few, numbers

BOTH = [Convolution, Deconvolution]


def build(cls, param, blobs="", **settings):
    text = f"type: '{cls.type}' {blobs} convolution_param {{ {param} }}"
    return cls(layer(text), context(np.float32, **{"where": "net:3:1", **settings}))


@st.composite
def nets(draw):
    """A message and the shape of a bottom."""
    axes, group = draw(st.integers(1, 3)), draw(st.integers(1, 2))

    def each(low, high):
        return [draw(st.integers(low, high)) for _ in range(axes)]

    fields = {"kernel_size": each(1, 3), "stride": each(1, 2), "pad": each(0, 1)}
    fields["dilation"] = each(1, 2)
    text = " ".join(f"{name}: {v}" for name, values in fields.items() for v in values)
    text += f" num_output: {group * draw(st.integers(1, 2))} group: {group}"
    text += f" bias_term: {str(draw(st.booleans())).lower()}"
    shape = (draw(st.integers(1, 2)), group * draw(st.integers(1, 2)), *each(1, 5))
    return text, shape, draw(st.sampled_from([8, 4096, 1 << 20]))


@pytest.mark.parametrize("cls", BOTH)
@few
@given(net=nets())
def test_gradient(cls, net):
    text, shape, budget = net
    spec = layer(f"type: '{cls.type}' convolution_param {{ {text} }}")
    try:
        cls(spec, context()).shapes(shape)
    except ShapeError:
        assume(False)
    check_gradient(cls, spec, [numbers(shape)], samples=15, budget=budget)


@pytest.mark.parametrize("cls", BOTH)
def test_several_bottoms_share_the_weights(cls):
    text = "bottom: 'a' bottom: 'b' top: 'c' top: 'd'"
    spec = layer(f"type: '{cls.type}' {text} convolution_param {{ num_output: 2 kernel_size: 2 }}")
    a, b = numbers((2, 3, 4, 5)), numbers((2, 3, 4, 5), seed=1)
    rig = check_gradient(cls, spec, [a, b])
    together = rig.forward()
    swapped = rig.forward([b, a])
    np.testing.assert_array_equal(together, swapped[::-1])


@pytest.mark.parametrize("axis", [1, 2, -3])
def test_axis_says_where_the_channels_are(axis):
    text = f"num_output: 5 kernel_size: 3 axis: {axis}"
    shape = (2, 4, 6, 7) if axis == 1 else (3, 2, 4, 6, 7)
    conv = build(Convolution, text)
    needed = conv.shapes(shape)
    assert needed.tops == ((*shape[:-3], 5, 4, 5),)
    assert needed.params == ((5, 4, 3, 3), (5,))


def test_fields_for_height_and_width():
    conv = build(
        Convolution,
        "num_output: 1 kernel_h: 3 kernel_w: 5 stride_h: 2 stride_w: 1 pad_w: 1 engine: CUDNN",
    )
    assert conv.window(2) == Window((3, 5), (2, 1), (0, 1), (1, 1))


@pytest.mark.parametrize(("cls", "weights"), [(Convolution, (6, 2)), (Deconvolution, (4, 3))])
def test_shapes_of_grouped_weights(cls, weights):
    conv = build(cls, "num_output: 6 kernel_size: 3 group: 2 bias_term: false")
    assert conv.shapes((1, 4, 9, 9)).params == ((*weights, 3, 3),)
    assert len(conv.fillers()) == 1


def test_sizes_of_the_u_net():
    conv = build(Convolution, "num_output: 64 kernel_size: 3")
    assert conv.shapes((1, 1, 572, 572)).tops == ((1, 64, 570, 570),)
    up = build(Deconvolution, "num_output: 512 kernel_size: 2 stride: 2")
    assert up.shapes((1, 1024, 28, 28)).tops == ((1, 512, 56, 56),)


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_how_it_is_cut_changes_almost_nothing(cls, phase):
    spec = layer(f"type: '{cls.type}' convolution_param {{ num_output: 8 kernel_size: 3 pad: 1 }}")
    x = numbers((2, 8, 12, 10))
    rigs = [Rig(cls, spec, [x], budget=b, phase=phase) for b in (1 << 13, 1 << 22)]
    assert rigs[0].shapes.scratch < rigs[1].shapes.scratch
    np.testing.assert_allclose(*(rig.forward() for rig in rigs), rtol=1e-12, atol=1e-12)
    (a, b) = (rig.backward([numbers(rig.top[0].shape)]) for rig in rigs)
    for x, y in zip(a[0] + a[1], b[0] + b[1], strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("cls", BOTH)
def test_the_same_input_gives_the_same_bits(cls):
    spec = layer(f"type: '{cls.type}' convolution_param {{ num_output: 16 kernel_size: 3 }}")
    rig = Rig(cls, spec, [numbers((1, 16, 40, 40))], dtype=np.float32)
    first = rig.forward()[0], *rig.backward([np.ones(rig.top[0].shape)])
    again = rig.forward()[0], *rig.backward([np.ones(rig.top[0].shape)])
    for a, b in zip(first, again, strict=True):
        np.testing.assert_equal(a, b)


@pytest.mark.parametrize(
    ("param", "shape", "error", "words"),
    [
        ("kernel_size: 3", None, SpecError, "has no num_output"),
        ("num_output: 3", None, SpecError, "has no kernel_size.*kernel_h and kernel_w"),
        ("num_output: 3 kernel_h: 3", None, SpecError, "no kernel_size.*found kernel_h"),
        ("num_output: 3 kernel_size: 0", (1, 2, 4, 4), SpecError, "kernel_size of 0"),
        ("num_output: 3 kernel_size: 3 stride: 0", (1, 2, 4, 4), SpecError, "stride of 0"),
        ("num_output: 3 kernel_size: 3 stride_h: 2", None, SpecError, "stride_h alone"),
        (
            "num_output: 3 kernel_size: 3 kernel_h: 3 kernel_w: 3",
            None,
            SpecError,
            "both kernel_size and kernel_h and kernel_w",
        ),
        ("num_output: 3 kernel_size: 3 pad: 1 pad_h: 1", None, SpecError, "both pad and pad_h"),
        (
            "num_output: 3 kernel_size: 3 kernel_size: 3",
            (1, 2, 4, 4, 4),
            SpecError,
            "kernel_size 2 times; expected once, or once for each of its 3",
        ),
        ("num_output: 3 kernel_h: 3 kernel_w: 3", (1, 2, 4, 4, 4), SpecError, "has 3 spatial"),
        ("num_output: 3 kernel_size: 1 group: 2", None, SpecError, "2 groups.*num_output.*found 3"),
        ("num_output: 4 kernel_size: 1 group: 2", (1, 3, 4, 4), ShapeError, "channels.*found 3"),
        ("num_output: 4 kernel_size: 1 group: 0", None, SpecError, "no group"),
        ("num_output: 4 kernel_size: 1", (3, 4), ShapeError, "no spatial axes"),
        ("num_output: 4 kernel_size: 1 axis: 4", (1, 3, 4, 4), ShapeError, "axis 4"),
    ],
)
@pytest.mark.parametrize("cls", BOTH)
def test_refusals(cls, param, shape, error, words):
    with pytest.raises(DemitasseError) as caught:
        build(cls, param).shapes(shape)
    assert type(caught.value) is error
    message = str(caught.value)
    assert re.search(words, message), message
    assert "layer 'test'" in message and message.startswith("net:3:1: ")


@pytest.mark.parametrize(("kernel", "pad", "found"), [(7, 0, "4x4"), (5, 0, "4x4"), (9, 2, "8x8")])
def test_a_kernel_larger_than_the_padded_bottom_is_refused(kernel, pad, found):
    conv = build(Convolution, f"num_output: 3 kernel_size: {kernel} pad: {pad}")
    with pytest.raises(ShapeError, match=f"kernel larger.*{kernel}x{kernel}, found {found}"):
        conv.shapes((2, 3, 4, 4))


@pytest.mark.parametrize(("phase", "tile"), [("TRAIN", 4), ("TEST", 6)])
def test_only_a_test_has_large_tiles(phase, tile):
    """What is lost by them a training would add up."""
    spec = layer("type: 'Convolution' convolution_param { num_output: 64 kernel_size: 3 }")
    filtering = Convolution(spec, context(phase=phase, dtype=np.dtype(np.float32)))
    form = filtering.form((1, 64, 100, 100), (64, 64, 3, 3), (1, 64, 98, 98))
    assert (form.engine, form.tile) == (WINOGRAD, tile)


def test_padding_away_a_whole_deconvolution_is_refused():
    with pytest.raises(ShapeError, match="pads away all"):
        build(Deconvolution, "num_output: 3 kernel_size: 2 pad: 3").shapes((2, 3, 4, 4))


def test_one_top_for_each_bottom():
    with pytest.raises(GraphError, match="one top of each bottom; expected 1 tops, found 2"):
        build(Convolution, "num_output: 2 kernel_size: 1", "bottom: 'x' top: 'c' top: 'd'")


def test_bottoms_of_two_shapes_are_refused():
    blobs = "bottom: 'a' bottom: 'b' top: 'c' top: 'd'"
    conv = build(Convolution, "num_output: 2 kernel_size: 1", blobs)
    with pytest.raises(ShapeError, match="'b' like 'a', 2x3x4x4, found 2x3x4x5"):
        conv.shapes((2, 3, 4, 4), (2, 3, 4, 5))
