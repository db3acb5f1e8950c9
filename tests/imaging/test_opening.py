"""Area openings of maps of probabilities."""

import numpy as np
import pytest
from demitasse.imaging.opening import area_opening
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

steady = settings(max_examples=40, deadline=None, derandomize=True, database=None)
LEVEL = st.integers(0, 249).map(lambda n: np.float32(n / 250))
IMAGES = arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=LEVEL)


def without_small(mask, size):
    pieces, _ = ndimage.label(mask)
    return mask & (np.bincount(pieces.ravel())[pieces] > size)


@steady
@given(IMAGES, st.integers(0, 12))
def test_no_threshold_shows_a_small_object(image, size):
    opened = area_opening(image, size)
    for level in np.unique(image):
        right = without_small(image > level, size)
        assert np.array_equal(opened > level, right)


@steady
@given(IMAGES, st.integers(0, 12))
def test_an_opening_lowers_and_does_nothing_twice(image, size):
    opened = area_opening(image, size)
    assert (opened <= image).all() and np.array_equal(area_opening(opened, size), opened)


def test_a_speck_vanishes_and_a_corner_may_count():
    image = np.zeros((5, 6), np.float32)
    image[0, 0] = image[1, 1] = image[0, 1] = 0.9  # three that share edges
    image[4, 4] = image[3, 5] = 0.6  # two that share a corner
    assert (area_opening(image, 1) > 0.5).sum() == 3
    assert (area_opening(image, 1, connectivity=8) > 0.5).sum() == 5
    assert not (area_opening(image, 3) > 0.5).any()
    assert image.max() == pytest.approx(0.9)


def test_volumes():
    image = np.zeros((2, 3, 3), np.float32)
    image[:, 1, 1] = 0.7
    assert (area_opening(image, 1) > 0.5).sum() == 2 and not area_opening(image, 2).any()
