"""Rescaling: sizes, places, linear exactness, and the way back."""

import numpy as np
import pytest
from demitasse.data.rescale import between
from demitasse.errors import ImageError
from demitasse.imaging.rescale import rescaling
from hypothesis import given
from hypothesis import strategies as st


def test_the_size_is_rounded_half_up_and_never_0():
    assert rescaling((5, 512), (1, 0.19), (2, 0.38)).inner == (3, 256)
    assert rescaling((3, 3), (1, 1), (100, 100)).inner == (1, 1)


def test_sizes_within_one_percent_are_equal():
    assert not rescaling((100, 100), (0.19, 0.1901), (0.1905, 0.19)).needed
    plan = rescaling((100, 100), (0.19, 0.19), (0.19, 0.2))
    assert plan.needed and plan.inner == (100, 95)


@pytest.mark.parametrize("image, net", [(None, (1.0, 1.0)), ((1.0, 1.0), None), (None, ())])
def test_without_both_sizes_nothing_is_rescaled(image, net):
    plan = rescaling((7, 9), image, net)
    x = np.random.default_rng(0).standard_normal((2, 7, 9))
    assert plan.there(x) is x and plan.back(x) is x


@pytest.mark.parametrize("image, net", [(1e-306, 0.2), (0.2, 1e-306), (1e300, 0.2), (5e-324, 1e9)])
def test_sizes_that_have_nothing_in_common(image, net):
    with pytest.raises(ImageError, match=r"^a.tif: its pixels and the net's .* 1,000,000 times"):
        rescaling((4, 5), (1, image), (1, net), "a.tif")
    assert rescaling((4, 5), (1, 1e-3), (1, 1e3)).inner == (4, 1)


def test_pixels_are_where_the_plugin_has_them():
    x = np.array([[[0, 10, 20, 40]]], np.uint8)
    twice = rescaling((1, 4), (1, 2), (1, 1))
    # the last place lies half a pixel beyond the last pixel: half way to its mirror image
    np.testing.assert_array_equal(twice.there(x)[0, 0], [0, 5, 10, 15, 20, 30, 40, 30])
    np.testing.assert_array_equal(twice.back(twice.there(x)), x)
    half = rescaling((1, 4), (1, 1), (1, 2))
    np.testing.assert_array_equal(half.there(x)[0, 0], [0, 20])


@given(st.integers(2, 30), st.integers(2, 30), st.floats(0.2, 4), st.floats(0.2, 4))
def test_a_ramp_stays_a_ramp_and_comes_back(height, width, fy, fx):
    plan = rescaling((height, width), (fy, fx), (1, 1))
    y, x = np.mgrid[0:height, 0:width].astype(float)
    there = plan.there(np.stack([y, x]))
    assert there.shape == (2, *plan.inner) and plan.back(there).shape == (2, height, width)
    # within the image, before the mirror at its end
    rows = np.arange(plan.inner[0]) / plan.factors[0]
    inside = rows <= height - 1
    np.testing.assert_allclose(there[0, inside, 0], rows[inside], atol=1e-9)
    back = plan.back(there)
    known = np.arange(height) * plan.factors[0] <= inside.sum() - 1
    np.testing.assert_allclose(back[0, known, 0], np.arange(height)[known], atol=1e-9)


def test_types():
    for given_type, becomes in [("u1", "f4"), ("u2", "f4"), ("f4", "f4"), ("f8", "f8")]:
        got = between(np.ones((1, 4), given_type), 1, np.array([0.5]))
        assert got.dtype == np.dtype(becomes)


def test_a_volume_by_three_factors():
    plan = rescaling((4, 6, 8), (2, 1, 1), (1, 1, 2))
    assert plan.inner == (8, 6, 4)
    assert plan.there(np.zeros((1, 4, 6, 8))).shape == (1, 8, 6, 4)


def test_what_is_not_finite_spreads_only_to_its_neighbours():
    x = np.zeros((1, 1, 9))
    x[0, 0, 4] = np.nan
    there = rescaling((1, 9), (1, 2), (1, 1)).there(x)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(there)), [7, 8, 9])


def test_at_a_whole_place_the_next_pixel_does_not_count():
    x = np.array([[[0.0, 1, np.nan, 3, 4, 5]]], np.float32)
    twice = rescaling((1, 6), (1, 2), (1, 1)).there(x)[0, 0]
    assert np.isnan(twice).nonzero()[0].tolist() == [3, 4, 5] and twice[2] == 1
    same = rescaling((1, 6), (1, 49), (1, 1)).there(x)[0, 0]
    np.testing.assert_array_equal(same[::49], x[0, 0])
