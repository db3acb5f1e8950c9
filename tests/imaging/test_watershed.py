"""The thinning: by hand, by a slow loop, and its invariants."""

import numpy as np
import pytest
from demitasse.imaging.watershed import thin
from scipy import ndimage


def slow(interior):
    """The docstring word by word: ring after ring, even pixels before odd ones."""
    labels, count = ndimage.label(interior)
    height, width = labels.shape
    if count < 2:
        return np.ones(labels.shape, int)
    labels = labels.astype(int)
    waiting = {(int(y), int(x)) for y, x in np.argwhere(labels == 0)}

    def around(y, x):
        near = ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        return [p for p in near if 0 <= p[0] < height and 0 <= p[1] < width]

    front = {(int(y), int(x)) for y, x in np.argwhere(labels > 0)}
    while front:
        ring = {p for q in front for p in around(*q)} & waiting
        joined = set()
        for parity in (0, 1):
            for y, x in ring:
                if (y + x) % 2 != parity:
                    continue
                basins = {labels[p] for p in around(y, x)} - {0}
                if len(basins) == 1:
                    labels[y, x] = basins.pop()
                    joined.add((y, x))
        waiting -= ring
        front = joined
    return labels


def test_a_wide_border_becomes_a_line_in_its_middle():
    interior = np.ones((4, 9), bool)
    interior[:, 3:6] = False
    expected = np.array([[1, 1, 1, 1, 0, 2, 2, 2, 2]] * 4)
    np.testing.assert_array_equal(thin(interior), expected)


def test_a_border_of_even_width_leaves_one_pixel_everywhere():
    interior = np.ones((6, 10), bool)
    interior[:, 4:6] = False
    thinned = thin(interior)
    assert ((thinned == 0).sum(axis=1) == 1).all()


def test_what_does_not_part_two_basins_vanishes():
    interior = np.ones((7, 7), bool)
    interior[3, 2:5] = False  # a dead end inside one cell
    assert (thin(interior) == 1).all()


@pytest.mark.parametrize("value", [True, False])
def test_a_plateau_is_one_basin(value):
    assert (thin(np.full((5, 6), value)) == 1).all()


@pytest.mark.parametrize("density", [0.2, 0.5, 0.7, 0.97])
@pytest.mark.parametrize("seed", range(5))
def test_random_maps(density, seed):
    interior = np.random.default_rng(seed).random((23, 31)) < density
    thinned = thin(interior)
    np.testing.assert_array_equal(thinned, slow(interior))
    # no two basins touch, and every basin contains the piece it grew from
    for a, b in ((thinned[1:], thinned[:-1]), (thinned[:, 1:], thinned[:, :-1])):
        assert not ((a != b) & (a > 0) & (b > 0)).any()
    pieces, count = ndimage.label(interior)
    assert [set(thinned[pieces == k]) for k in range(1, count + 1)] == [
        {k} for k in range(1, count + 1)
    ]


def test_basins_stay_connected():
    interior = ndimage.gaussian_filter(np.random.default_rng(2).random((80, 80)), 2) > 0.5
    thinned = thin(interior)
    for k in range(1, thinned.max() + 1):
        assert ndimage.label(thinned == k)[1] == 1
