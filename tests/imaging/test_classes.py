"""IoU class by class: by hand, and what must hold."""

import numpy as np
import pytest
from demitasse.imaging.classes import MOST, iou, iou_part, iou_score
from demitasse.imaging.views import Pair, View
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

maps = hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 4))


def test_iou_by_class_ignores_what_is_ignored():
    truth = np.array([[0, 0, 1, 1, 2, 255]], np.uint8)
    guess = np.array([[0, 1, 1, 1, 0, 2]], np.uint8)
    parts = iou_part(pair(truth, guess, truth == 255))
    np.testing.assert_array_equal(parts[:3], [[1, 3], [2, 3], [0, 1]])
    assert not parts[3:].any()
    assert iou(parts[:3]) == (pytest.approx(1 / 3), pytest.approx(2 / 3), 0)
    assert np.isnan(iou(np.array([[0, 0]]))[0])


def pair(truth, guess, ignored=None):
    return Pair(View(np.asarray(truth), "classes"), View(np.asarray(guess), "classes"), ignored)


def test_slices_are_summed_and_each_is_told():
    parts = [iou_part(pair([[0, 1, 2]], [[0, 1, 1]])), iou_part(pair([[0, 0, 3]], [[0, 3, 3]]))]
    score = iou_score(parts, ("nothing", "cell"))
    # background 2 of 3, class 1: 1 of 2, class 2: 0 of 1, class 3: 1 of 2
    found = {name: s.value for name, s in score.classes.items()}
    assert found == {"nothing": pytest.approx(2 / 3), "cell": 0.5, "2": 0, "3": 0.5}
    assert score.value == pytest.approx((2 / 3 + 0.5 + 0 + 0.5) / 4)
    assert score.slices == (pytest.approx((1 + 0.5 + 0) / 3), pytest.approx(0.5))
    assert score.classes["3"].counts == {"intersection": 1, "union": 2}
    assert np.isnan(score.classes["3"].slices[0])


@given(maps, maps)
def test_it_is_symmetric_bounded_and_does_not_know_the_names(a, b):
    score = iou_score([iou_part(pair(a, b))])
    assert score.value == iou_score([iou_part(pair(b, a))]).value
    assert 0 <= score.value <= 1
    assert iou_score([iou_part(pair(a, a))]).value == 1
    names = np.array([3, 200, 0, 1, 77], np.uint8)
    assert iou_score([iou_part(pair(names[a], names[b]))]).value == pytest.approx(score.value)
    assert (score.value == 1) == (a == b).all()


@given(maps, maps, maps)
def test_it_equals_the_definition_pixel_by_pixel(a, b, c):
    ignored = c == 0
    counts = iou_part(pair(np.where(ignored, 0, a), b, ignored))
    for k in range(5):
        mine, other = (a == k) & ~ignored, (b == k) & ~ignored
        assert counts[k].tolist() == [(mine & other).sum(), (mine | other).sum()]
    assert counts.shape == (MOST, 2)
