"""Pooling against its definition, NaN and empty windows included."""

from dataclasses import replace

import numpy as np
import pytest
from demitasse.kernels import pooling
from demitasse.kernels.im2col import Window
from demitasse.kernels.workers import Room, Workers
from hypothesis import assume, given, settings
from hypothesis import strategies as st

steady = settings(max_examples=80, deadline=None, derandomize=True, database=None)


@st.composite
def cases(draw):
    axes = draw(st.integers(1, 3))

    def each(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    kernel = each(1, 3)
    pad = tuple(draw(st.integers(0, k - 1)) for k in kernel)
    window = Window(kernel, each(1, 4), pad, (1,) * axes)
    size = each(1, 6)
    out = pooling.outputs(size, window, draw(st.booleans()))
    assume(min(out) >= 1)
    return window, size, out


def seen(o, size, window):
    """The elements that window o sees, in row-major order."""
    ranges = [
        range(max(0, i * s - p), min(n, i * s - p + k))
        for i, n, k, s, p in zip(o, size, window.kernel, window.stride, window.pad, strict=True)
    ]
    return [i for i in np.ndindex(*size) if all(a in r for a, r in zip(i, ranges, strict=True))]


def room(x, y):
    how = Room(0, Workers(2))
    size = pooling.scratch_size(x.shape, y.shape, x.itemsize, how)
    return replace(how, scratch=np.full(size, np.nan, x.dtype))


@steady
@given(cases(), st.integers(0, 5))
def test_maximum_value_place_and_gradient(case, seed):
    window, size, out = case
    rng = np.random.default_rng(seed)
    x = rng.choice([1.0, 2.0, 3.0, np.nan, -np.inf], (2, *size)).astype("f4")
    y, index, dx = np.full((2, *out), np.nan, "f4"), np.full((2, *out), np.nan, "f4"), x * np.nan
    dy = rng.standard_normal(y.shape).astype("f4")
    arg = np.full(y.shape, 77, pooling.arg_dtype(window))
    pooling.max_forward(x, y, arg, window, room(x, y))
    pooling.max_index(arg, index, size, window, room(x, y))
    pooling.max_backward(dy, arg, dx, window, room(x, y))
    expected = np.zeros_like(x)
    for plane, *o in np.ndindex(*y.shape):
        best, place = np.float32(pooling.LOWEST), None
        for i in seen(o, size, window):
            if x[(plane, *i)] > best:
                best, place = x[(plane, *i)], i
        assert y[(plane, *o)] == best
        assert index[(plane, *o)] == (-1 if place is None else np.ravel_multi_index(place, size))
        if place is not None:
            expected[(plane, *place)] += dy[(plane, *o)]
    np.testing.assert_allclose(dx, expected, atol=1e-6)


@steady
@given(cases())
def test_mean_and_gradient(case):
    window, size, out = case
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, *size)), np.full((2, *out), np.nan)
    dy, dx = rng.standard_normal(y.shape), x * np.nan
    pooling.average_forward(x, y, window, room(x, y))
    pooling.average_backward(dy, dx, window, room(x, y))
    expected = np.zeros_like(x)
    for plane, *o in np.ndindex(*y.shape):
        count = 1
        for i, n, k, s, p in zip(o, size, window.kernel, window.stride, window.pad, strict=True):
            count *= max(1, min(i * s - p + k, n + p) - (i * s - p))
        places = seen(o, size, window)
        np.testing.assert_allclose(
            y[(plane, *o)], sum(x[(plane, *i)] for i in places) / count, atol=1e-12
        )
        for i in places:
            expected[(plane, *i)] += dy[(plane, *o)] / count
    np.testing.assert_allclose(dx, expected, atol=1e-12)


def test_windows_of_more_than_255_elements():
    x = np.random.default_rng(0).standard_normal((3, 17, 18)).astype("f4")
    window = Window((17, 18), (1, 1), (0, 0), (1, 1))
    assert pooling.arg_dtype(window) == "int32"
    y, dx = np.empty((3, 1, 1), "f4"), np.empty_like(x)
    arg = np.empty(y.shape, "i4")
    pooling.max_forward(x, y, arg, window, room(x, y))
    np.testing.assert_array_equal(arg.reshape(3) - 1, x.reshape(3, -1).argmax(axis=1))
    pooling.max_backward(np.ones_like(y), arg, dx, window, room(x, y))
    assert dx.sum() == 3 and (dx[x == y] == 1).all()


@pytest.mark.parametrize("planes", [1, 7])
def test_many_planes_go_in_chunks(planes, monkeypatch):
    monkeypatch.setattr(pooling, "PLANES", planes * 16)
    x = np.random.default_rng(0).standard_normal((10, 4, 4)).astype("f4")
    y, arg, dx = np.empty((10, 2, 2), "f4"), np.empty((10, 2, 2), "u1"), np.empty_like(x)
    window = Window((2, 2), (2, 2), (0, 0), (1, 1))
    pooling.max_forward(x, y, arg, window, room(x, y))
    blocks = x.reshape(10, 2, 2, 2, 2).swapaxes(2, 3)
    np.testing.assert_array_equal(y, blocks.max(axis=(3, 4)))
    pooling.max_backward(y, arg, dx, window, room(x, y))
    np.testing.assert_array_equal(dx, np.where(np.isin(x, y), x, 0))


@pytest.mark.parametrize("width", [1, 64, 67])
def test_compiled_kernels_give_the_same_results(monkeypatch, width):
    pytest.importorskip("numba")
    monkeypatch.setattr(pooling, "LARGE", 0)
    rng = np.random.default_rng(4)
    x = rng.integers(-3, 4, (5, 120, 2 * width)).astype("f")  # with many ties
    x[rng.random(x.shape) < 0.2] = np.nan
    x[rng.random(x.shape) < 0.1] = -np.inf
    window = Window((2, 2), (2, 2), (0, 0), (1, 1))
    dy, found = rng.standard_normal((5, 60, width)).astype("f"), []
    for compiled in (True, False):
        if not compiled:
            monkeypatch.setattr(pooling, "optional", lambda name: None)
        assert (pooling._compiled(x, dy, window) is not None) == compiled
        y, arg, dx = (
            np.full_like(dy, np.nan),
            np.full(dy.shape, 9, np.uint8),
            np.full_like(x, np.nan),
        )
        pooling.max_forward(x, y, arg, window, room(x, y))
        pooling.max_backward(dy, arg, dx, window, room(x, y))
        found.append((y, arg, dx))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
