"""Rescaling against the formula, pixel by pixel."""

import math

import numpy as np
import pytest
from demitasse.data.rescale import linear, nearest, new_shape, scale
from demitasse.errors import DataError
from hypothesis import given, settings
from hypothesis import strategies as st


def mirrored(i, n):
    return i if i < n else max(2 * (n - 1) - i, 0)


def slow_linear(row, s):
    out = []
    for i in range(max(1, math.floor(s * len(row) + 0.5))):
        low = math.floor(i / s)
        f = i / s - low
        out.append((1 - f) * row[low] + f * row[mirrored(low + 1, len(row))])
    return out


def slow_nearest(row, s):
    size = max(1, math.floor(s * len(row) + 0.5))
    return [row[mirrored(math.floor(i / s + 0.5), len(row))] for i in range(size)]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.floats(0.15, 4.0), st.integers(0, 99))
def test_a_row_equals_the_formula(size, s, seed):
    row = np.random.default_rng(seed).integers(0, 200, size)
    np.testing.assert_allclose(linear(row, (s,)), slow_linear(row, s), atol=1e-4)
    np.testing.assert_array_equal(nearest(row, (s,)), slow_nearest(row, s))


def test_axes_are_independent_and_channels_stay():
    image = np.random.default_rng(0).random((2, 3, 5, 7), np.float32)
    s = (2.0, 0.6, 1.7)
    found = linear(image, s)
    assert found.dtype == np.float32
    assert found.shape == (2, *new_shape((3, 5, 7), s)) == (2, 6, 3, 12)
    expected = image.astype(float)
    for axis, factor in zip((1, 2, 3), s, strict=True):
        expected = np.apply_along_axis(slow_linear, axis, expected, factor)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_same_size_changes_nothing():
    image = np.arange(12, dtype=np.uint16).reshape(3, 4)
    assert linear(image, (1.0, 1.0)) is image  # so that it is normalised as at deployment
    np.testing.assert_array_equal(nearest(image, (1.0, 1.0)), image)


def test_twice_as_large_by_hand():
    np.testing.assert_array_equal(linear(np.array([0, 10, 20]), (2.0,)), [0, 5, 10, 15, 20, 15])
    np.testing.assert_array_equal(nearest(np.array([7, 8, 9]), (2.0,)), [7, 8, 8, 9, 9, 8])


def test_labels_keep_values_and_type():
    labels = np.array([[0, 70000], [3, 255]], np.int64)
    found = nearest(labels, (2.5, 2.5))
    assert found.dtype == np.int64
    assert set(np.unique(found)) <= {0, 3, 255, 70000}


def test_not_a_number_spoils_what_is_made_of_it_and_no_more():
    row = np.array([1, 2, np.nan, 4, 5], np.float32)
    found = linear(row, (2.0,))
    np.testing.assert_array_equal(np.isnan(found), [0, 0, 0, 1, 1, 1, 0, 0, 0, 0])


def test_wide_integers_keep_their_digits():
    row = np.array([2**30, 2**30 + 1], np.int64)
    assert linear(row, (1.5,))[0] == 2**30
    assert linear(row, (1.5,)).dtype == np.float64


def test_scale_is_old_by_new():
    assert scale((0.25, 0.5), (0.5, 0.5)) == (0.5, 1.0)
    for now, wanted in (((0.0, 1.0), (1.0, 1.0)), ((1.0, 1.0), (1.0,)), ((math.nan,), (1.0,))):
        with pytest.raises(DataError, match="a pixel size is no size; expected"):
            scale(now, wanted)
