"""What an array is seen as, and the pieces of a label image."""

import numpy as np
import pytest
from demitasse.data.weight_map import class_objects
from demitasse.errors import ImageError
from demitasse.imaging.views import Pair, View, pieces
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


def same_parts(a, b):
    """Whether two maps of numbers part the pixels alike."""
    pairs = {(int(i), int(j)) for i, j in zip(a.ravel(), b.ravel(), strict=True)}
    return len(pairs) == len({i for i, _ in pairs}) == len({j for _, j in pairs})


@given(hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 2)))
def test_pieces_of_all_values_at_once(labels):
    assert same_parts(pieces(labels), class_objects(labels))


def test_pieces_of_a_volume_are_joined_by_faces():
    labels = np.zeros((2, 2, 2), np.uint8)
    labels[0, 0, 0] = labels[1, 0, 0] = labels[0, 1, 1] = 4
    labels[1, 1, 0] = 5
    assert pieces(labels)[0, 0, 0] == pieces(labels)[1, 0, 0]
    assert pieces(labels).max() == 3
    assert pieces(np.zeros((0, 3), int)).shape == (0, 3)


def test_the_views_of_every_kind():
    ids = np.array([[3, 3, 9, 0]])
    instances = View(ids, "instances")
    assert instances.objects.tolist() == [[1, 1, 2, 0]]
    assert instances.interior.tolist() == [[True, True, False, False]]  # a gap where they touch
    assert instances.classes.tolist() == [[1, 1, 1, 0]]
    assert instances.class_of.tolist() == [1, 1]
    classes = View(np.array([[2, 2, 1, 0, 2]]), "classes")
    assert same_parts(classes.objects, np.array([[1, 1, 2, 0, 3]]))
    assert sorted(classes.class_of.tolist()) == [1, 2, 2]
    assert classes.interior.tolist() == [[True, True, True, False, True]]
    grey = View(np.array([[0.2, 0.7, 0.6]], np.float32), "probability", 0.65)
    assert grey.interior.tolist() == [[False, True, False]]
    assert grey.classes.tolist() == [[0, 1, 0]]
    assert grey.probability.dtype == np.float64
    binary = View(np.array([[0, 255]], np.uint8), "binary")
    assert binary.probability.tolist() == [[0, 1]]


def test_ignored_pixels_belong_to_nobody():
    ignored = np.array([[False, True, False]])
    pair = Pair(
        View(np.array([[1, 1, 2]]), "instances"), View(np.array([[5, 5, 5]]), "instances"), ignored
    )
    assert pair.truth.objects.tolist() == [[1, 0, 2]]
    assert pair.guess.objects.tolist() == [[1, 0, 1]]


def test_sizes_must_agree():
    with pytest.raises(ImageError, match=r"page 3: .*expected \(2, 3\), found \(3, 2\)"):
        Pair(View(np.ones((2, 3)), "binary"), View(np.ones((3, 2)), "binary"), where="a, page 3")


def test_a_kind_that_there_is_not_is_refused_with_the_nearest():
    with pytest.raises(ImageError, match=r"'probable'.*binary, classes.*mean probability\?"):
        View(np.zeros((2, 2)), "probable")
