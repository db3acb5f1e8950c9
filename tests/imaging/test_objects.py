"""SEG and F1: by hand, by brute force over pairings, and what must hold."""

from itertools import permutations

import numpy as np
import pytest
from demitasse.imaging.objects import (
    centres,
    detection_part,
    f1_score,
    most_pairs,
    overlaps,
    seg_part,
    seg_score,
    segmentation_part,
)
from demitasse.imaging.views import Pair, View
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

masks = hnp.arrays(np.uint16, (6, 7), elements=st.sampled_from([0, 0, 1, 2, 9, 300]))


def pair(truth, guess, kind="instances"):
    return Pair(View(np.asarray(truth), kind), View(np.asarray(guess), kind))


def seg(truth, guess):
    return seg_score([seg_part(pair(truth, guess))])


def f1(truth, guess, least=0.5):
    return f1_score([segmentation_part(pair(truth, guess), least)])


def brute_force_seg(truth, guess):
    """The Challenge's sentence, object by object."""
    found = []
    for r in sorted(set(truth.ravel().tolist()) - {0}):
        here, best = truth == r, 0.0
        for s in set(guess[here].tolist()) - {0}:
            there = guess == s
            if (here & there).sum() > here.sum() / 2:
                best = (here & there).sum() / (here | there).sum()
        found.append(best)
    return float(np.mean(found)) if found else np.nan


def brute_force_matches(truth, guess, match):
    """The most pairs over all ways to pair."""
    ours = sorted(set(truth.ravel().tolist()) - {0})
    theirs = sorted(set(guess.ravel().tolist()) - {0})
    theirs += [None] * len(ours)
    return max(
        sum(s is not None and match(truth == r, guess == s) for r, s in zip(ours, way, strict=True))
        for way in permutations(theirs, len(ours))
    )


def test_seg_by_hand():
    truth = np.array([[1, 1, 1, 1, 0, 2, 2, 3]])
    guess = np.array([[7, 7, 7, 0, 0, 8, 9, 0]])
    # object 1: 3 of 4 covered, 3 / 4; object 2: exactly half, which is not enough; 3: nothing
    score = seg(truth, guess)
    assert score.value == pytest.approx(0.75 / 3)
    assert score.counts == {"matched": 1, "objects": 3}
    merged = np.array([[5, 5, 5, 5, 5, 5, 5, 5]])
    assert seg(truth, merged).value == pytest.approx((4 / 8 + 2 / 8 + 1 / 8) / 3)


def test_seg_is_the_mean_over_objects_not_over_frames():
    two = pair([[1, 0, 2, 2]], [[1, 0, 0, 0]])
    one = pair([[4, 4, 4, 4]], [[1, 1, 1, 1]])
    none = pair([[0, 0, 0, 0]], [[1, 1, 1, 1]])
    score = seg_score([seg_part(p) for p in (two, one, none)])
    assert score.value == pytest.approx(2 / 3)
    assert score.slices[:2] == (0.5, 1)
    assert np.isnan(score.slices[2])
    assert np.isnan(seg_score([seg_part(none)]).value)


@settings(max_examples=40, deadline=None)
@given(masks, masks)
def test_objects_equal_brute_force(truth, guess):
    found = seg(truth, guess).value
    assert found == pytest.approx(brute_force_seg(truth, guess), nan_ok=True)
    for least in (0.25, 0.5):
        counts = f1(truth, guess, least).counts or {"true positives": 0}
        expected = brute_force_matches(
            truth, guess, lambda a, b, t=least: (a & b).sum() >= t * (a | b).sum()
        )
        assert counts["true positives"] == expected
    near = detection_part(pair(truth, guess), 1.5)

    def close(a, b):
        way = np.argwhere(a).mean(axis=0) - np.argwhere(b).mean(axis=0)
        return np.hypot(*way) <= 1.5

    expected = brute_force_matches(truth, guess, close)
    assert sum(int(c[0]) for c in near.values()) == expected


@given(masks, masks)
def test_what_must_hold(a, b):
    names = np.zeros(301, np.uint16)
    names[[1, 2, 9, 300]] = [44, 7, 1, 23]
    assert seg(names[a], names[b]).value == pytest.approx(seg(a, b).value, nan_ok=True)
    assert f1(names[a], names[b]) == f1(a, b) or np.isnan(f1(a, b).value)
    assert f1(a, b).value == pytest.approx(f1(b, a).value, nan_ok=True)
    for part in (segmentation_part, detection_part):
        score = f1_score([part(pair(a, b))])
        assert np.isnan(score.value) == (not a.any() and not b.any())
        assert np.isnan(score.value) or 0 <= score.value <= 1
    assert np.isnan(seg(a, b).value) == (not a.any())
    assert np.isnan(seg(a, b).value) or 0 <= seg(a, b).value <= 1
    if a.any():
        assert seg(a, a).value == f1(a, a).value == 1
        assert f1_score([detection_part(pair(a, a))]).value == 1


def test_f1_by_hand():
    truth = np.array([[1, 1, 0, 2, 2, 2, 0, 3]])
    guess = np.array([[5, 0, 0, 6, 6, 6, 8, 0]])
    score = f1(truth, guess)  # IoU 1/2 is enough; 6 is perfect; 3 is missed; 8 is too many
    assert score.counts == {"true positives": 2, "predictions": 3, "objects": 3}
    assert score.value == pytest.approx(4 / 6)
    assert f1(truth, guess, 0.51).value == pytest.approx(2 / 6)


def test_an_object_matches_once():
    # two halves have IoU 1/2 with the whole, but only one of them may have it
    score = f1([[1, 1, 1, 1]], [[1, 1, 2, 2]])
    assert score.counts == {"true positives": 1, "predictions": 2, "objects": 1}


def test_detection_measures_between_centres():
    truth, guess = np.zeros((9, 12), int), np.zeros((9, 12), int)
    truth[1:4, 1:4] = 1  # centre (2, 2)
    guess[4:7, 1:4] = 3  # centre (5, 2): 3 pixels away
    assert detection_part(pair(truth, guess), 3.0)[1].tolist() == [1, 1, 1]
    assert detection_part(pair(truth, guess), 2.99)[1].tolist() == [0, 1, 1]
    assert centres(View(truth, "instances")).tolist() == [[2, 2]]


def test_classes_match_only_their_own():
    truth = np.array([[1, 1, 0, 2, 2, 0, 2]])
    guess = np.array([[1, 1, 0, 1, 1, 0, 2]])
    score = f1_score([segmentation_part(pair(truth, guess, "classes"))], ("ground", "axon"))
    assert score.classes["axon"].counts == {"true positives": 1, "predictions": 2, "objects": 1}
    assert score.classes["2"].counts == {"true positives": 1, "predictions": 1, "objects": 2}
    assert score.value == pytest.approx(2 * 2 / (3 + 3))
    assert score.classes["axon"].value == pytest.approx(2 / 3)


def test_frames_are_pooled():
    parts = [
        segmentation_part(pair([[1, 0]], [[1, 0]])),
        segmentation_part(pair([[0, 0]], [[1, 2]])),
    ]
    score = f1_score(parts)
    assert score.value == pytest.approx(2 / 4)
    assert score.slices == (1, 0)


def test_volumes_are_connected_through_their_slices():
    truth = np.zeros((3, 4, 5), np.uint8)
    truth[:, 1:3, 1:3] = 1
    guess = truth.copy()
    guess[1] = 0  # parted: two objects of a third each
    score = f1_score([segmentation_part(pair(truth, guess, "binary"), 0.3)])
    assert score.counts == {"true positives": 1, "predictions": 2, "objects": 1}
    assert seg_score([seg_part(pair(truth, truth, "binary"))]).value == 1


def test_overlaps_and_pairs_of_nothing():
    nothing = np.zeros((3, 3), int)
    found = overlaps(nothing, nothing)
    assert [len(a) for a in (found.truth, found.guess, found.both)] == [0, 0, 0]
    assert most_pairs(np.zeros(0, int), np.zeros(0, int)) == 0
    assert most_pairs(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])) == 2
    assert most_pairs(np.array([0, 1, 2]), np.array([4, 4, 4])) == 1
