"""Layers whose top is the bottom with another shape: Flatten, Reshape."""

from __future__ import annotations

import re

import numpy as np
import pytest
from demitasse import netspec
from demitasse.errors import DemitasseError, ShapeError, SpecError
from demitasse.layers.flatten import Flatten
from demitasse.layers.reshape import Reshape
from demitasse.net import Net
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, context, layer
from .strategies import few, numbers, shapes


def flatten(param=""):
    return layer(f"type: 'Flatten' flatten_param {{ {param} }}")


def reshape(dims, param=""):
    text = " ".join(f"dim: {d}" for d in dims)
    return layer(f"type: 'Reshape' reshape_param {{ shape {{ {text} }} {param} }}")


def top(cls, spec, shape):
    (found,) = cls(spec, context(where="net:3:1")).shapes(shape).tops
    return found


@few
@given(shape=shapes(), data=st.data())
def test_flatten_gradient(shape, data):
    start = data.draw(st.integers(0, len(shape) - 1))
    end = data.draw(st.integers(start, len(shape) - 1))
    x = numbers(shape)
    for last in (end, end - len(shape)):
        rig = check_gradient(Flatten, flatten(f"axis: {start} end_axis: {last}"), [x])
        (y,) = rig.forward()
        np.testing.assert_array_equal(y, x.reshape(*shape[:start], -1, *shape[end + 1 :]))
        assert np.shares_memory(rig.top[0].data, rig.bottom[0].data)


def test_flatten_by_default_keeps_only_the_first_axis():
    assert top(Flatten, flatten(), (2, 3, 4, 5)) == (2, 60)
    assert top(Flatten, flatten(), (2, 3)) == (2, 3)
    assert top(Flatten, flatten("axis: 2 end_axis: 1"), (2, 3, 4)) == (2, 3, 1, 4)


@pytest.mark.parametrize(
    ("param", "shape", "words"),
    [
        ("", (3,), "axis 1"),
        ("", (), "a blob with axes"),
        ("end_axis: 3", (1, 2, 3), "axis 3"),
        ("axis: 2 end_axis: 0", (1, 2, 3), "ends before it begins.*before axis 2, found 0"),
    ],
)
def test_flatten_refusals(param, shape, words):
    with pytest.raises(ShapeError) as caught:
        top(Flatten, flatten(param), shape)
    assert re.search(words, str(caught.value)) and str(caught.value).startswith("net:3:1: ")


@st.composite
def targets(draw):
    """A shape, the axes that are replaced, and as what: sizes, 0 and -1."""
    shape = draw(shapes(longest=4))
    start = draw(st.integers(0, len(shape)))
    count = draw(st.integers(0, len(shape) - start))
    whole = int(np.prod(shape[start : start + count]))
    dims = []
    for _ in range(draw(st.integers(0, 3))):
        dims.append(draw(st.sampled_from([d for d in range(1, whole + 1) if whole % d == 0])))
        whole //= dims[-1]
    real = [*dims, whole]
    wild = draw(st.integers(0, len(real) - 1))
    said = [-1 if i == wild else d for i, d in enumerate(real)]
    said = [
        0 if d != -1 and start + i < len(shape) and d == shape[start + i] else d
        for i, d in enumerate(said)
    ]
    return shape, start, count, said, (*shape[:start], *real, *shape[start + count :])


@few
@given(target=targets(), back=st.booleans())
def test_reshape_gradient(target, back):
    shape, start, count, said, expected = target
    axis = start - len(shape) - 1 if back else start
    x = numbers(shape)
    rig = check_gradient(Reshape, reshape(said, f"axis: {axis} num_axes: {count}"), [x])
    np.testing.assert_array_equal(rig.forward()[0], x.reshape(expected))


@pytest.mark.parametrize(
    ("dims", "param", "shape", "expected"),
    [
        ((0, -1), "", (2, 3, 4), (2, 12)),
        ((0, 0, -1), "", (2, 3, 4), (2, 3, 4)),
        ((-1, 0, 0), "", (2, 3, 4), (2, 3, 4)),
        ((-1,), "", (2, 3, 4), (24,)),
        ((-1,), "axis: 1 num_axes: 1", (2, 3, 4), (2, 3, 4)),
        ((-1, 1), "axis: -1 num_axes: 0", (2, 3), (2, 3, 1, 1)),
        ((), "axis: 1", (2, 1, 1), (2,)),
        ((), "", (1, 1), ()),
        ((1, 0), "axis: 0 num_axes: 1", (1, 3, 3), None),
        ((3, 0, -1), "axis: 0 num_axes: 1", (6, 2, 3), (3, 2, 1, 2, 3)),  # 0: of an axis kept too
        ((0, -1), "", (0, 3, 4), (0, 12)),  # an empty batch, behind Filter
    ],
)
def test_reshape_sizes(dims, param, shape, expected):
    if expected is None:
        with pytest.raises(ShapeError):
            top(Reshape, reshape(dims, param), shape)
    else:
        assert top(Reshape, reshape(dims, param), shape) == expected


@pytest.mark.parametrize(
    ("dims", "param", "words"),
    [
        ((-1, -1), "", "cannot be; expected .* at most one -1, found -1, -1"),
        ((2, -2), "", "cannot be"),
        ((2,), "num_axes: -2", "negative num_axes; .* found -2"),
        ((5, -1), "", r"'x' \(2x3x4\) into the shape \(5, -1\): 24 elements .* divided by 5"),
        ((2, 13), "", "2x13 has 26 elements, the bottom 24"),
        ((0, 0, 0, 0), "", "no axis 3 for the 0"),
        ((1,), "axis: 4", "not all there"),
        ((1,), "axis: -5", "not all there"),
        ((1,), "axis: 2 num_axes: 2", "axes 2 to 3 are not all there"),
    ],
)
def test_reshape_refusals(dims, param, words):
    with pytest.raises(DemitasseError) as caught:
        top(Reshape, reshape(dims, param), (2, 3, 4))
    message = str(caught.value)
    assert re.search(words, message), message
    assert "layer 'test' (Reshape)" in message and message.startswith("net:3:1: ")
    if "cannot be" in words or "negative" in words:
        with pytest.raises(SpecError):
            Reshape(reshape(dims, param), context())


def test_a_gradient_that_nobody_gives_is_zero():
    rig = Rig(Flatten, flatten(), [np.ones((2, 3))])
    rig.top[0].diff = None
    rig.layer.backward(rig.top, [True], rig.bottom)
    assert not rig.bottom[0].diff.any()


def test_a_gradient_in_the_same_place_is_not_copied():
    rig = Rig(Flatten, flatten(), [np.ones((2, 3, 4))])
    rig.forward()
    dx = rig.bottom[0].diff
    rig.top[0].diff = dx.reshape(2, 12)
    dx.flags.writeable = False
    rig.layer.backward(rig.top, [True], rig.bottom)
    rig.top[0].diff = np.ones((2, 12))
    with pytest.raises(ValueError, match="read-only"):
        rig.layer.backward(rig.top, [True], rig.bottom)


def ip(name, bottom, top, n):
    return (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{top}" '
        f'inner_product_param {{ num_output: {n} weight_filler {{ type: "msra" }} }} }}'
    )


def reduction(name, bottom, operation):
    return (
        f'layer {{ name: "{name}" type: "Reduction" bottom: "{bottom}" top: "{name}" '
        f"loss_weight: 0.5 reduction_param {{ operation: {operation} }} }}"
    )


def relu(bottom, top):
    return f'layer {{ name: "relu" type: "ReLU" bottom: "{bottom}" top: "{top}" }}'


VIEWS = (
    'layer { name: "r" type: "Reshape" bottom: "h" top: "r" '
    "reshape_param { shape { dim: 0 dim: 3 dim: -1 } } }"
    'layer { name: "f" type: "Flatten" bottom: "r" top: "f" }'
)


def chain(middle, extra="", **settings):
    shape = "input_param { shape { dim: 2 dim: 12 } }"
    text = (
        f'layer {{ name: "x" type: "Input" top: "x" {shape} }}' + ip("i", "x", "h", 12) + middle,
        ip("j", "f", "y", 3) + reduction("l", "y", "SUMSQ") + extra,
    )
    return Net(netspec.build(netspec.parse_net("\n".join(text)), "TRAIN"), **settings)


def test_nothing_is_copied_neither_data_nor_gradient():
    net = chain(VIEWS)
    for name in ("r", "f"):
        assert np.shares_memory(net.blobs["h"].data, net.blobs[name].data)
        assert np.shares_memory(net.blobs["h"].diff, net.blobs[name].diff)
    assert net.blobs["r"].data.shape == (2, 3, 4) and net.blobs["f"].data.shape == (2, 12)


@pytest.mark.parametrize("settings", [{}, {"keep": True}, {"poison": True}])
@pytest.mark.parametrize("read_again", [False, True])
def test_results_do_not_depend_on_the_plan(settings, read_again):
    """An in-place layer behind changes the shared data, unless somebody reads it again."""
    extra = reduction("again", "h", "ASUM") if read_again else ""
    plain = chain(relu("h", "f"), extra, dtype=np.float64)
    net = chain(VIEWS + relu("f", "f"), extra, dtype=np.float64, **settings)
    for one in (plain, net):
        one.blobs["x"].data[...] = numbers((2, 12))
    for _ in range(2):
        plain.clear_param_diffs()
        net.clear_param_diffs()
        np.testing.assert_allclose(net.forward(), plain.forward(), rtol=1e-12)
        plain.backward()
        net.backward()
        np.testing.assert_allclose(net.flat_diff, plain.flat_diff, rtol=1e-12)
        net.blobs["x"].data[...] = numbers((2, 12))
        plain.blobs["x"].data[...] = numbers((2, 12))
    assert np.abs(net.flat_diff).max() > 0
