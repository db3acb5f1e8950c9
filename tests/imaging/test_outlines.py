"""Outlines of objects: by hand, and as the pixels whose centres they enclose."""

import numpy as np
import pytest
from demitasse.imaging.outlines import outlines


def area(ring):
    """The shoelace sum."""
    y, x = ring.T
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) // 2


def inside(rings, shape):
    """Pixels whose centre a horizontal ray from the left reaches over an odd number of edges."""
    found = np.zeros(shape, bool)
    for ring in rings:
        for (y0, x0), (y1, x1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if x0 == x1:
                found[min(y0, y1) : max(y0, y1), x0:] ^= True
    return found


def test_a_pixel_is_a_square():
    objects = np.zeros((3, 4), int)
    objects[1, 2] = 7
    ((number, (ring,)),) = outlines(objects).items()
    assert number == 7 and area(ring) == 1
    assert ring.tolist() == [[1, 2], [1, 3], [2, 3], [2, 2]]  # clockwise, (y, x)


def test_an_l_has_six_corners():
    objects = np.array([[1, 0], [1, 0], [1, 1]])
    (ring,) = outlines(objects)[1]
    assert ring.tolist() == [[0, 0], [0, 1], [2, 1], [2, 2], [3, 2], [3, 0]]
    assert area(ring) == 4


def test_a_ring_has_a_hole():
    objects = np.ones((3, 3), int)
    objects[1, 1] = 0
    outer, hole = outlines(objects)[1]
    assert (area(outer), area(hole)) == (9, -1)
    assert sorted(hole.tolist()) == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_pixels_that_touch_in_a_corner_part():
    rings = outlines(np.eye(3, dtype=int))[1]
    assert [area(ring) for ring in rings] == [1, 1, 1]


def test_touching_objects_have_their_own_outlines():
    found = outlines(np.array([[1, 1, 2]]))
    assert found[1][0].tolist() == [[0, 0], [0, 2], [1, 2], [1, 0]]
    assert found[2][0].tolist() == [[0, 2], [0, 3], [1, 3], [1, 2]]


def test_nothing():
    assert outlines(np.zeros((4, 5), int)) == {}


@pytest.mark.parametrize("seed", range(4))
def test_every_object_is_what_its_rings_enclose(seed):
    objects = np.random.default_rng(seed).integers(0, 4, (17, 23)).astype(np.int32)
    found = outlines(objects)
    assert sorted(found) == [1, 2, 3]
    for number, rings in found.items():
        np.testing.assert_array_equal(inside(rings, objects.shape), objects == number)
        assert sum(map(area, rings)) == np.count_nonzero(objects == number)
        corners = np.diff(np.concatenate([rings[0], rings[0][:1]]), axis=0)
        assert ((corners != 0).sum(axis=1) == 1).all()  # along the edges of pixels
