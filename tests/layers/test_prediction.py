"""IoU and F1 by hand."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import DataError, ShapeError, SpecError
from demitasse.layers.f1 import F1
from demitasse.layers.iou import IoU

from .driver import Rig, layer

PAIR = "bottom: 'x' bottom: 'l'"
TRIPLE = PAIR + " bottom: 'w'"


def scores(labels, classes=2, certain=5.0):
    """(N, C, ..) scores whose best class is the label (N, ..)."""
    return certain * np.moveaxis(np.eye(classes)[np.asarray(labels)], -1, 1)


def run(cls, text, *bottoms):
    rig = Rig(cls, layer(f"name: 'm' type: '{cls.type}' {text}"), bottoms)
    (values,) = rig.forward()
    return list(values), [line.removeprefix("m - Per class ") for line in rig.layer.remarks]


def test_iou_by_hand():
    truth = np.array([[[0, 1, 1], [2, 2, 0]]])
    guess = np.array([[[1, 1, 0], [2, 0, 0]]])
    values, lines = run(IoU, PAIR, scores(guess, 3), truth[:, None])
    assert values == pytest.approx([1 / 3, 1 / 2])
    assert lines == ["intersection: 1 1 ", "union: 3 2 "]


def test_what_does_not_count():
    truth, guess = np.array([[1, 1, 3, 0]]), np.array([[1, 0, 1, 1]])
    text = TRIPLE + " loss_param { ignore_label: 3 }"
    values, lines = run(IoU, text, scores(guess), truth, np.array([[0.1, 1, 1, 0]]))
    assert values == [0.5] and lines == ["intersection: 1 ", "union: 2 "]


def test_another_background_and_empty_classes():
    truth = guess = np.array([[0, 1, 1]])
    values, lines = run(IoU, PAIR + " iou_param { background_label: 1 }", scores(guess, 3), truth)
    assert values == [1, 0] and lines == ["intersection: 1 0 ", "union: 1 0 "]


OBJECTS = np.array([[1, 1, 0, 0, 0, 1], [1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0]])


def test_segmentation_by_hand():
    guess = OBJECTS.copy()
    guess[1, :2] = 0  # half of the first: 1 - 2 / 4 is just near enough
    guess[0, 5] = 0  # the second is missed
    guess[2, 0] = 1  # one too many
    values, lines = run(F1, PAIR, scores(guess[None]), OBJECTS[None, None])
    assert values == pytest.approx([2 * 2 / (3 + 3)])
    assert lines == ["true positive count: 2 ", "prediction count: 3 ", "object count: 3 "]


def test_diagonal_neighbours_are_two_objects():
    guess = np.eye(3, dtype=int)[None]
    values, lines = run(F1, PAIR, scores(guess), guess)
    assert values == [1] and lines[2] == "object count: 3 "


def test_detection_by_hand():
    text = PAIR + " f1_param { distance_mode: EUCLIDEAN distance_threshold: 2 }"
    truth, guess = np.zeros((1, 9, 9), int), np.zeros((1, 9, 9), int)
    truth[0, 1, 1] = guess[0, 2, 2] = 1  # sqrt 2 apart
    truth[0, 7, 7] = guess[0, 7, 4] = 1  # 3 apart
    values, lines = run(F1, text, scores(guess), truth)
    assert values == [0.5] and lines[0] == "true positive count: 1 "


def test_centres_are_weighted_with_the_softmax():
    x = np.zeros((1, 2, 1, 3))
    x[0, 1, 0] = np.log([9, 1.5, -0.0 + 9])[...]  # p = .9, .6, .9
    x[0, 1, 0, 2] = -50
    truth = np.array([[[1, 1, 0]]])
    centre = 0.6 / 1.5
    for threshold, hits in ((0.5 - centre + 1e-6, 1), (0.5 - centre - 1e-3, 0)):
        text = f"{PAIR} f1_param {{ distance_mode: EUCLIDEAN distance_threshold: {threshold} }}"
        assert run(F1, text, x, truth)[0] == [hits]


def test_a_pair_of_two_classes_is_no_hit():
    truth, guess = np.array([[[1, 1]]]), np.array([[[2, 2]]])
    values, lines = run(F1, PAIR, scores(guess, 3), truth)
    assert values == [0, 0] and lines[0] == "true positive count: 0 0 "


@pytest.mark.parametrize("mode", ["IOU", "EUCLIDEAN"])
def test_empty_sets_are_counted_and_never_nan(mode):
    text = PAIR + f" f1_param {{ distance_mode: {mode} }}"
    none, some = np.zeros((1, 3, 6), int), OBJECTS[None]
    assert run(F1, text, scores(none), none)[0] == [0]
    values, lines = run(F1, text, scores(none), some)
    assert values == [0] and lines[1:] == ["prediction count: 0 ", "object count: 3 "]
    values, lines = run(F1, text, 1e4 * scores(some), none)
    assert values == [0] and lines[1:] == ["prediction count: 3 ", "object count: 0 "]


def test_volumes_and_several_items():
    truth = np.zeros((2, 3, 4, 5), int)
    truth[0, :2, 1, 1] = truth[1, 2, 3, 4] = truth[1, 0, 0, 0] = 1
    values, lines = run(F1, PAIR, scores(truth), truth[:, None])
    assert values == [1] and lines[2] == "object count: 3 "
    assert run(IoU, PAIR, scores(truth), truth[:, None])[0] == [1]


def test_refusals():
    good = scores(np.zeros((1, 2, 2), int))
    with pytest.raises(DataError, match="found the label 2"):
        run(IoU, PAIR, good, np.full((1, 2, 2), 2))
    with pytest.raises(ShapeError, match="one weight for each score"):
        run(IoU, TRIPLE, good, np.zeros((1, 2, 2)), np.zeros((1, 3, 2)))
    with pytest.raises(SpecError, match="background_label is no class"):
        run(IoU, PAIR + " iou_param { background_label: 2 }", good, np.zeros((1, 2, 2)))
    with pytest.raises(ShapeError, match="no image axes"):
        run(F1, PAIR, np.zeros((2, 2)), np.zeros(2))
