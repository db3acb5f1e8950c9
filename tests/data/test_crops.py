"""Tile geometry against np.pad and against counting."""

import numpy as np
import pytest
from demitasse.data.crops import Pair, cover, grid, inside, mirror, span, window
from demitasse.errors import DataError
from hypothesis import given, settings
from hypothesis import strategies as st

sizes = st.integers(1, 40)


@given(st.integers(-100, 100), st.integers(1, 60), st.integers(1, 12))
def test_mirrored_indices_are_those_of_np_pad(start, length, size):
    padded = np.pad(np.arange(size), 200, mode="reflect")
    np.testing.assert_array_equal(span(start, length, size), padded[200 + start :][:length])


@settings(max_examples=30)
@given(sizes, sizes, st.integers(-30, 30), st.integers(-30, 30), sizes, sizes)
def test_a_window_is_cut_from_the_mirrored_image(height, width, y, x, h, w):
    image = np.arange(2 * height * width).reshape(2, height, width)
    padded = np.pad(image, ((0, 0), (80, 80), (80, 80)), mode="reflect")
    expected = padded[:, 80 + y : 80 + y + h, 80 + x : 80 + x + w]
    np.testing.assert_array_equal(window(image, (y, x), (h, w)), expected)
    rows, columns = np.indices((h, w))
    there = (rows + y >= 0) & (rows + y < height) & (columns + x >= 0) & (columns + x < width)
    np.testing.assert_array_equal(inside((y, x), (h, w), (height, width)), there)


@given(sizes, sizes, sizes, sizes)
def test_tiles_cover_every_pixel_and_stay_in_the_image(height, width, h, w):
    seen = np.zeros((height, width), int)
    corners = cover((height, width), (h, w))
    for y, x in corners:
        if h <= height:
            assert 0 <= y <= height - h
        if w <= width:
            assert 0 <= x <= width - w
        seen[max(y, 0) : y + h, max(x, 0) : x + w] += 1
    assert (seen > 0).all()
    assert len(corners) == -(-height // h) * -(-width // w)


def test_the_isbi_slice_needs_four_tiles_of_the_2015_net():
    assert cover((512, 512), (388, 388)) == [(0, 0), (0, 124), (124, 0), (124, 124)]


def test_the_border_of_the_2015_net():
    assert Pair((572, 572), (388, 388)).border == (92, 92)
    assert Pair((444, 892), (260, 708)).border == (92, 92)
    assert str(Pair((444, 892), (260, 708))) == "444x892 to 260x708"


@pytest.mark.parametrize(("big", "small"), [(10, 12), (11, 8), (4, 0)])
def test_sizes_that_no_net_has_are_refused(big, small):
    with pytest.raises(DataError, match=f"do not belong together.*{big} to {small}"):
        Pair((big, big), (small, small))


def test_one_pixel_mirrors_to_itself():
    assert (mirror(np.arange(-3, 4), 1) == 0).all()


def test_windows_and_their_insides_have_any_number_of_axes():
    volume = np.random.default_rng(0).random((2, 4, 5, 6))
    start, size = (-2, 1, -3), (7, 3, 12)
    padded = np.pad(volume, ((0, 0), (9, 9), (9, 9), (9, 9)), mode="reflect")
    expected = padded[:, 7:14, 10:13, 6:18]
    np.testing.assert_array_equal(window(volume, start, size), expected)
    ones = np.pad(np.ones((4, 5, 6)), 9)[7:14, 10:13, 6:18]
    np.testing.assert_array_equal(inside(start, size, (4, 5, 6)), ones > 0)
    assert not inside((9, 0), (3, 3), (5, 5)).any()
    assert not inside((-9, 0), (3, 3), (5, 5)).any()


def test_a_grid_of_tiles_begins_at_the_first_pixel_and_covers_all():
    assert grid((10, 7), (4, 7)) == [(0, 0), (4, 0), (8, 0)]
    assert grid((2, 5, 4), (3, 4, 4)) == [(0, 0, 0), (0, 4, 0)]


def test_pairs_of_volumes():
    pair = Pair((116, 132, 132), (28, 44, 44))
    assert pair.border == (44, 44, 44)
    assert str(pair) == "116x132x132 to 28x44x44"
    with pytest.raises(DataError, match="do not belong together"):
        Pair((116, 132, 132), (28, 44))
