from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import ShapeError
from demitasse.kernels.strips import LENGTH
from demitasse.layers.mvn import MVN
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, context, layer
from .in_place import check_in_place
from .strategies import few, numbers, shapes


def spec(across=False, variance=True, eps=1e-9, in_place=False):
    words = ("false", "true")
    text = f"across_channels: {words[across]} normalize_variance: {words[variance]} eps: {eps}"
    return layer(
        f"type: 'MVN' bottom: 'x' top: '{'x' if in_place else 'y'}' mvn_param {{ {text} }}"
    )


def rows(x, across):
    """One row for each group."""
    count = x.shape[0] if across or x.ndim < 2 else x.shape[0] * x.shape[1]
    return x.reshape(count, -1)


def expected(x, across, variance, eps):
    """Four axes at least."""
    groups = rows(x, across)
    y = groups - groups.mean(axis=1, keepdims=True)
    if variance:
        y = y / (groups.std(axis=1, keepdims=True) + np.float32(eps).astype("f8"))
    return y.reshape(x.shape + (1,) * (4 - x.ndim))


@few
@given(
    head=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    tail=shapes(1, 3, 5),
    across=st.booleans(),
    variance=st.booleans(),
    in_place=st.booleans(),
)
def test_gradient(head, tail, across, variance, in_place):
    shape = (*head, *tail[:-1], tail[-1] + 3)  # four values at least have a variance
    in_place = in_place and len(shape) >= 4
    x = numbers(shape)
    rig = check_gradient(MVN, spec(across, variance, in_place=in_place), [x], in_place=in_place)
    want = expected(x, across, variance, 1e-9)
    np.testing.assert_allclose(rig.forward()[0], want, rtol=1e-9, atol=1e-12)


def test_eps_is_added_to_the_deviation_and_left_out_of_the_gradient_as_in_caffe():
    x, dy = numbers((2, 3, 4, 5)), numbers((2, 3, 4, 5), 1)
    rig = Rig(MVN, spec(eps=0.5), [x])
    (y,) = rig.forward()
    np.testing.assert_allclose(y, expected(x, False, True, 0.5), rtol=1e-12)
    (dx,), _ = rig.backward([dy])
    y, dy = rows(y, False), rows(dy, False)
    want = dy - dy.mean(axis=1, keepdims=True) - y * (y * dy).mean(axis=1, keepdims=True)
    want /= rows(x, False).std(axis=1, keepdims=True) + 0.5
    np.testing.assert_allclose(dx, want.reshape(x.shape), rtol=1e-10)


@pytest.mark.parametrize("shape", [(), (3,), (3, 4), (2, 3, 4), (2, 3, 4, 2), (2, 2, 3, 2, 2)])
@pytest.mark.parametrize("across", [False, True])
def test_the_top_has_four_axes_at_least(shape, across):
    x = numbers(shape)
    rig = Rig(MVN, spec(across, variance=False), [x])
    wide = x.reshape(shape + (1,) * (4 - len(shape)))
    assert rig.shapes.tops == (wide.shape,)
    np.testing.assert_allclose(rig.forward()[0], expected(wide, across, False, 0), atol=1e-15)


def test_more_than_one_part_in_float32():
    x, dy = numbers((1, 2, 3, LENGTH)).astype("f4") + 100, numbers((1, 2, 3, LENGTH), 1)
    results = []
    for dtype in (np.float32, np.float64):
        rig = Rig(MVN, spec(), [x], dtype=dtype)
        results.append([rig.forward()[0], rig.backward([dy])[0][0]])
    for got, exact in zip(*results, strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-4, atol=2e-5)


def test_equal_values_become_zero():
    rig = Rig(MVN, spec(), [np.full((1, 1, 2, 2), 3.0)])
    assert not rig.forward()[0].any()


def test_what_backward_reads():
    assert MVN(spec(), context()).backward_reads == ("top0",)
    assert MVN(spec(variance=False), context()).backward_reads == ()


@pytest.mark.parametrize("variance", ["false", "true"])
def test_a_net_gives_the_same_in_place(variance):
    check_in_place("MVN", f"mvn_param {{ normalize_variance: {variance} }}", (2, 3, 5, 4))


def test_in_place_the_shape_must_stay():
    with pytest.raises(ShapeError, match=r"four axes of its bottom's 3.*found 'x' of shape 2x3x5"):
        Rig(MVN, spec(in_place=True), [np.zeros((2, 3, 5))], in_place=True)
