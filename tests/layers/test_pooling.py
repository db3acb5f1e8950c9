"""Pooling."""

from __future__ import annotations

import re

import numpy as np
import pytest
from demitasse.errors import DemitasseError, GraphError, ShapeError, SpecError
from demitasse.layers.pooling import Pooling
from hypothesis import assume, given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, context, layer
from .strategies import few, numbers


def build(param, blobs=""):
    spec = layer(f"type: 'Pooling' {blobs} pooling_param {{ {param} }}")
    return Pooling(spec, context(where="net:3:1"))


@st.composite
def nets(draw):
    axes = draw(st.integers(1, 3))
    kernel = [draw(st.integers(1, 3)) for _ in range(axes)]
    fields = {
        "kernel_size": kernel,
        "stride": [draw(st.integers(1, 3)) for _ in range(axes)],
        "pad": [draw(st.integers(0, k - 1)) for k in kernel],
    }
    text = " ".join(f"{name}: {v}" for name, values in fields.items() for v in values)
    text += f" round_mode: {draw(st.sampled_from(['CEIL', 'FLOOR']))}"
    return text, (2, 2, *(draw(st.integers(1, 6)) for _ in range(axes)))


@pytest.mark.parametrize("method", ["MAX", "AVE"])
@few
@given(net=nets())
def test_gradient(method, net):
    text, shape = net
    spec = layer(f"type: 'Pooling' pooling_param {{ pool: {method} {text} }}")
    try:
        Pooling(spec, context()).shapes(shape)
    except ShapeError:
        assume(False)
    # values at least 0.01 apart, so that no step changes which one is the maximum
    x = np.random.default_rng(0).permutation(int(np.prod(shape))).reshape(shape) * 0.01
    check_gradient(Pooling, spec, [x])


@pytest.mark.parametrize(
    ("param", "size", "out"),
    [
        ("kernel_size: 2 stride: 2", (568, 568), (284, 284)),
        ("kernel_size: 2 stride: 2", (5, 4), (3, 2)),
        ("kernel_size: 2 stride: 2 round_mode: FLOOR", (5, 4), (2, 2)),
        ("kernel_size: 3 stride: 2", (6, 7), (3, 3)),
        ("kernel_size: 2 stride: 2 pad: 1", (4, 5), (3, 3)),  # a fourth is all padding
        ("kernel_size: 2 stride: 5", (4, 4), (2, 2)),  # the last window is empty, but kept
        ("kernel_h: 1 kernel_w: 3 stride_h: 1 stride_w: 2", (4, 7), (4, 3)),
        ("kernel_size: 1 kernel_size: 2 kernel_size: 2 stride: 2", (5, 4, 4), (3, 2, 2)),
        ("global_pooling: true", (4, 7), (1, 1)),
        ("global_pooling: true pad: 0 stride: 1", (4, 7), (1, 1)),
        ("kernel_size: 5 stride: 2", (4, 4), (1, 1)),  # clipped, as Caffe does
    ],
)
def test_sizes(param, size, out):
    assert build(param).shapes((2, 3, *size)).tops == ((2, 3, *out),)


def test_the_winner_is_remembered_in_one_byte():
    (winner,) = build("kernel_size: 2 stride: 2").shapes((1, 2, 8, 8)).saved
    assert winner.dtype == "uint8" and winner.shape == (1, 2, 4, 4)
    assert build("pool: AVE kernel_size: 2").shapes((1, 2, 8, 8)).saved == ()
    assert build("global_pooling: true").shapes((1, 2, 16, 16)).saved[0].dtype == "int32"


def test_of_equal_values_the_first_wins_and_the_second_top_says_where():
    spec = layer("type: 'Pooling' top: 'y' top: 'where' pooling_param { kernel_size: 2 stride: 2 }")
    rig = Rig(Pooling, spec, [np.zeros((1, 1, 4, 6))], dtype=np.float32)
    y, where = rig.forward()
    assert not y.any()
    np.testing.assert_array_equal(where[0, 0], [[0, 2, 4], [12, 14, 16]])
    (dx,), _ = rig.backward([np.ones(y.shape), np.full(y.shape, 9)])
    assert dx.sum() == 6 and dx[0, 0, ::2, ::2].sum() == 6


def test_axes_before_axis_are_planes():
    spec = layer("type: 'Pooling' pooling_param { kernel_size: 2 axis: 2 }")
    x = numbers((2, 3, 2, 4, 5))
    rig = check_gradient(Pooling, spec, [x])
    (y,) = rig.forward([x])
    views = [x[..., i : 3 + i, j : 4 + j] for i in (0, 1) for j in (0, 1)]
    np.testing.assert_array_equal(y, np.max(views, axis=0))


@pytest.mark.parametrize(
    ("param", "shape", "error", "words"),
    [
        ("kernel_size: 2 pad: 2", (1, 1, 4, 4), ShapeError, "pads as much.*below 2x2, found 2x2"),
        ("kernel_size: 7 stride: 2", (1, 1, 4, 4), ShapeError, "larger.*least 7x7, found 4x4"),
        ("stride: 2", None, SpecError, "no kernel_size"),
        ("kernel_size: 2 kernel_h: 2 kernel_w: 2", None, SpecError, "both kernel_size"),
        ("kernel_size: 2 global_pooling: true", None, SpecError, "takes the whole bottom"),
        ("pad: 1 global_pooling: true", None, SpecError, "gives a pad.*expected pad: 0, or none"),
        ("stride_h: 1 stride_w: 2 global_pooling: true", None, SpecError, "stride: 1.*found 1, 2"),
        ("kernel_size: 2 stride_h: 2", None, SpecError, "stride_h alone.*stride_h and stride_w"),
        ("kernel_size: 2 pad_w: 1", None, SpecError, "pad_w alone.*pad_h and pad_w"),
        ("kernel_size: 2 pool: STOCHASTIC", None, SpecError, "STOCHASTIC"),
        ("kernel_size: 2 stride: 2", (4, 3), ShapeError, "nothing to pool.*4x3"),
    ],
)
def test_refusals(param, shape, error, words):
    with pytest.raises(DemitasseError) as caught:
        build(param).shapes(shape)
    assert type(caught.value) is error
    message = str(caught.value)
    assert re.search(words, message), message
    assert "layer 'test' (Pooling)" in message and message.startswith("net:3:1: ")


def test_a_second_top_of_a_mean_is_refused():
    with pytest.raises(GraphError, match="only MAX"):
        build("pool: AVE kernel_size: 2", "top: 'y' top: 'z'")
