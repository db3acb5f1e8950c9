"""ArgMax."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import ShapeError, SpecError
from demitasse.layers.argmax import ArgMax
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, context, layer
from .strategies import few, shapes


def argmax(param=""):
    return layer(f"type: 'ArgMax' argmax_param {{ {param} }}")


def best(values, k):
    """(index, value) of the k largest, as Caffe sorts pairs: of equal values the last first."""
    pairs = sorted(((v, i) for i, v in enumerate(values)), reverse=True)[:k]
    return [i for _, i in pairs], [v for v, _ in pairs]


def ties(shape, seed=0):
    return np.random.default_rng([seed, *shape]).integers(-2, 3, shape).astype(float)


@few
@given(shape=shapes(longest=6), data=st.data(), values=st.booleans())
def test_along_an_axis(shape, data, values):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    k = data.draw(st.integers(1, shape[axis]))
    x = ties(shape)
    param = f"axis: {axis} top_k: {k} out_max_val: {str(values).lower()}"
    (y,) = Rig(ArgMax, argmax(param), [x]).forward()
    expected = np.apply_along_axis(lambda row: best(row, k)[values], axis, x)
    np.testing.assert_array_equal(y, expected)


@few
@given(shape=shapes(longest=4), data=st.data(), values=st.booleans())
def test_over_each_item(shape, data, values):
    rows = ties(shape).reshape(shape[0], -1)
    k = data.draw(st.integers(1, rows.shape[1]))
    param = f"top_k: {k} out_max_val: {str(values).lower()}"
    (y,) = Rig(ArgMax, argmax(param), [rows.reshape(shape)]).forward()
    assert y.shape == (shape[0], 1 + values, k) + (1,) * (len(shape) - 3)
    for row, out in zip(rows, y.reshape(shape[0], 1 + values, k), strict=True):
        np.testing.assert_array_equal(out, best(row, k)[: 1 + values])


@pytest.mark.parametrize("k", [1, 3])
def test_more_than_a_strip(k):
    for shape, axis in (((3, 5, 9000), 1), ((2, 40_000, 2), 1), ((9000, 3), 1)):
        x = ties(shape)
        (y,) = Rig(ArgMax, argmax(f"axis: {axis} top_k: {k}"), [x], dtype=np.float32).forward()
        order = np.argsort(x, axis, kind="stable")
        np.testing.assert_array_equal(y, np.flip(order, axis)[:, :k])


def test_there_is_no_gradient():
    assert ArgMax(argmax(), context()).no_gradient == {0}


def test_refusals():
    with pytest.raises(SpecError, match=r"net:3:1: layer 'test' .ArgMax.* 1 or more, found 0"):
        ArgMax(argmax("top_k: 0"), context(where="net:3:1"))
    for param, shape, words in (
        ("axis: 1 top_k: 4", (2, 3), "the 4 largest of 3 values; expected top_k from 1 to 3"),
        ("top_k: 7", (2, 3, 2), "the 7 largest of 6"),
        ("axis: 2", (2, 3), "axis 2"),
        ("", (), "a blob with axes"),
    ):
        with pytest.raises(ShapeError, match=words):
            ArgMax(argmax(param), context()).shapes(shape)
