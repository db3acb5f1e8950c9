"""Cut pixels and cut vertices, by taking them out one by one."""

import numpy as np
from demitasse.imaging.cut_pixels import cut_vertices, parting
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage


def slow(foreground, y, x):
    """Whether the object of the pixel is in more pieces without it."""
    labels, _ = ndimage.label(foreground)
    rest = labels == labels[y, x]
    rest[y, x] = False
    return ndimage.label(rest)[1] > 1


@settings(max_examples=100)
@given(hnp.arrays(bool, (7, 8), elements=st.sampled_from([True, True, False])), st.randoms())
def test_pixels_taken_out_one_by_one(foreground, random):
    at = np.argwhere(foreground)
    at = at[[random.random() < 0.7 for _ in at]]
    found = parting(foreground, at[:, 0], at[:, 1])
    assert found.tolist() == [slow(foreground, y, x) for y, x in at]


def test_a_dumbbell_by_hand():
    foreground = np.array([[1, 1, 0, 0, 1], [1, 1, 1, 1, 1], [1, 1, 0, 0, 1]], bool)
    y, x = np.nonzero(foreground)
    found = parting(foreground, y, x)
    assert {(int(a), int(b)) for a, b in zip(y[found], x[found], strict=True)} == {
        (1, 1),
        (1, 2),
        (1, 3),
        (1, 4),
    }


def test_a_long_path_needs_no_recursion():
    path = {k: {j for j in (k - 1, k + 1) if 0 <= j < 5000} for k in range(5000)}
    assert cut_vertices(path) == set(range(1, 4999))
    assert cut_vertices({}) == set()
    assert cut_vertices({0: {1, 2}, 1: {0, 2}, 2: {0, 1}}) == set()
