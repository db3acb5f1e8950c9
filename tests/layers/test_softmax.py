"""Softmax, SoftmaxWithLoss and Accuracy."""

from __future__ import annotations

import re

import numpy as np
import pytest
from demitasse.errors import DataError, GraphError, ShapeError
from demitasse.layers.accuracy import Accuracy
from demitasse.layers.softmax import Softmax
from demitasse.layers.softmax_with_loss import SoftmaxWithLoss
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, context, layer
from .strategies import few, numbers, shapes

LOSS = "type: 'SoftmaxWithLoss' bottom: 'score' bottom: 'label' "
WEIGHTED = LOSS + "bottom: 'weight' "
IGNORE = 255


@st.composite
def scored(draw, most=4):
    """Scores, labels of which some are ignored, and the axis of the classes."""
    shape = draw(shapes(least=2, most=most))
    axis = draw(st.integers(1, len(shape) - 1))
    places = shape[:axis] + shape[axis + 1 :]
    rng = np.random.default_rng([axis, *shape])
    labels = rng.integers(0, shape[axis], places)
    labels[rng.random(places) < 0.3] = IGNORE
    return numbers(shape) * 3, labels.astype(float), axis


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def losses(x, labels, axis):
    """-log p of each place, 0 where ignored."""
    named = np.where(labels == IGNORE, 0, labels).astype(int)
    p = np.take_along_axis(softmax(x, axis), np.expand_dims(named, axis), axis)
    return np.where(labels == IGNORE, 0, -np.log(p.squeeze(axis)))


@few
@given(case=scored(), in_place=st.booleans())
def test_softmax_gradient(case, in_place):
    x, _, axis = case
    top = "x" if in_place else "y"
    spec = layer(f"type: 'Softmax' bottom: 'x' top: '{top}' softmax_param {{ axis: {axis} }}")
    rig = check_gradient(Softmax, spec, [x], in_place=in_place)
    np.testing.assert_allclose(rig.forward()[0], softmax(x, axis), rtol=1e-12)


def test_softmax_of_large_scores():
    x = np.array([[1e4, 1e4, -1e4]])
    rig = Rig(Softmax, layer("type: 'Softmax'"), [x], dtype=np.float32)
    np.testing.assert_array_equal(rig.forward()[0], [[0.5, 0.5, 0]])


# -- SoftmaxWithLoss

MODES = ["VALID", "FULL", "BATCH_SIZE", "NONE"]


@pytest.mark.parametrize("mode", MODES)
@few
@given(case=scored())
def test_loss_and_gradient(mode, case):
    x, labels, axis = case
    param = f"loss_param {{ ignore_label: {IGNORE} normalization: {mode} }}"
    spec = layer(LOSS + param + f" softmax_param {{ axis: {axis} }}")
    rig = check_gradient(SoftmaxWithLoss, spec, [x, labels])
    outer = int(np.prod(x.shape[:axis]))
    n = {"VALID": (labels != IGNORE).sum(), "FULL": labels.size, "BATCH_SIZE": outer, "NONE": 1}
    expected = losses(x, labels, axis).sum() / max(1, n[mode])
    np.testing.assert_allclose(rig.forward()[0], expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("mode", MODES)
@few
@given(case=scored(), scale=st.sampled_from([0.05, 7]))
def test_pixel_weights(mode, case, scale):
    x, labels, axis = case
    weights = np.abs(numbers(labels.shape, seed=1)) * scale
    param = f"loss_param {{ ignore_label: {IGNORE} normalization: {mode} }}"
    spec = layer(WEIGHTED + param + f" softmax_param {{ axis: {axis} }}")
    rig = check_gradient(SoftmaxWithLoss, spec, [x, labels, weights])
    outer, valid = int(np.prod(x.shape[:axis])), weights[labels != IGNORE].sum()
    n = {"VALID": valid, "FULL": labels.size, "BATCH_SIZE": outer, "NONE": 1}
    expected = (weights * losses(x, labels, axis)).sum() / max(1, n[mode])
    np.testing.assert_allclose(rig.forward()[0], expected, rtol=1e-12, atol=1e-15)


def test_weights_of_one_are_no_weights():
    x, labels = numbers((2, 3, 4, 5)), np.ones((2, 4, 5))
    plain = Rig(SoftmaxWithLoss, layer(LOSS), [x, labels])
    weighted = Rig(SoftmaxWithLoss, layer(WEIGHTED), [x, labels, np.ones((2, 1, 4, 5))])
    assert plain.forward() == weighted.forward()
    (a, _), _ = plain.backward([1])
    (b, _, _), _ = weighted.backward([1])
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("param", "divisor"),
    [
        ("", 3),
        ("normalize: true", 3),
        ("normalize: false", 2),
        ("normalize: false normalization: FULL", 4),
    ],
)
def test_normalization_wins_over_the_older_switch(param, divisor):
    labels = np.array([[0, 0], [0, IGNORE]])
    spec = layer(LOSS + f"loss_param {{ ignore_label: {IGNORE} {param} }}")
    rig = Rig(SoftmaxWithLoss, spec, [np.zeros((2, 2, 2)), labels])
    np.testing.assert_allclose(rig.forward()[0], 3 * np.log(2) / divisor)


def test_everything_ignored_is_no_loss():
    spec = layer(LOSS + f"loss_param {{ ignore_label: {IGNORE} }}")
    rig = Rig(SoftmaxWithLoss, spec, [numbers((2, 3)), np.full(2, IGNORE)])
    assert rig.forward() == [0]
    (dx, _), _ = rig.backward([1])
    assert not dx.any()


def test_the_sum_is_exact_over_many_pixels():
    x, labels = np.zeros((1, 2, 600, 600)), np.zeros((1, 600, 600))
    rig = Rig(SoftmaxWithLoss, layer(LOSS), [x, labels], dtype=np.float32)
    np.testing.assert_allclose(rig.forward()[0], np.log(2), rtol=1e-7)


def test_a_probability_of_zero_costs_a_finite_loss():
    rig = Rig(SoftmaxWithLoss, layer(LOSS), [np.array([[1e4, -1e4]]), np.ones(1)])
    np.testing.assert_allclose(rig.forward()[0], -np.log(np.finfo("f4").tiny))


def test_labels_are_cut_to_integers():
    rig = Rig(SoftmaxWithLoss, layer(LOSS), [numbers((2, 3)), np.array([1.9, -0.9])])
    same = Rig(SoftmaxWithLoss, layer(LOSS), [numbers((2, 3)), np.array([1, 0])])
    assert rig.forward() == same.forward()


@pytest.mark.parametrize("bad", [3, -1, np.nan, 1e30, IGNORE])
def test_a_label_that_is_no_class_is_refused(bad):
    labels = np.zeros((2, 4, 5))
    labels[1, 2, 3] = bad
    spec = layer(LOSS)
    rig = Rig(SoftmaxWithLoss, spec, [numbers((2, 3, 4, 5)), labels], where="net:9:1")
    with pytest.raises(DataError) as caught:
        rig.forward()
    message = str(caught.value)
    for words in ("net:9:1", f"{bad:g}", "'label'", "item 1", "(2, 3)", "0 to 2", "ignore_label"):
        assert words in message
    if bad == IGNORE:
        ignoring = layer(LOSS + f"loss_param {{ ignore_label: {IGNORE} }}")
        Rig(SoftmaxWithLoss, ignoring, [numbers((2, 3, 4, 5)), labels]).forward()


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ((1, 572, 572), "'label' has 572x572 but 'score' is 388x388.*crop the label"),
        ((1, 1, 572, 572), "'label' has 572x572 but 'score' is 388x388.*crop the label"),
        (
            (1, 1, 400, 388),
            r"388x388 for such an image: pack again with the same --input-size, "
            r"and --output-size 388x388, or crop the label to the middle of",
        ),
        ((1, 1, 380, 388), r"--output-size 388x388\.$"),  # nothing to crop
        ((2, 388, 388), "'label' has 2x388x388 but 'score' is 1x388x388"),
        ((), "'label' has a single number"),
    ],
)
def test_another_number_of_labels_is_refused(label, words):
    with pytest.raises(ShapeError) as caught:
        SoftmaxWithLoss(layer(LOSS), context()).shapes((1, 2, 388, 388), label)
    assert re.search(words, str(caught.value)), str(caught.value)


def test_weights_are_one_for_each_place():
    loss = SoftmaxWithLoss(layer(WEIGHTED), context())
    with pytest.raises(ShapeError, match=r"one weight for each.*'weight' has 5x5 but 'score' is"):
        loss.shapes((1, 2, 4, 4), (1, 1, 4, 4), (1, 1, 5, 5))


def test_a_second_top_is_refused_and_explained():
    with pytest.raises(GraphError, match=r"probabilities.*Add a Softmax layer with bottom 'score'"):
        SoftmaxWithLoss(layer(LOSS + "top: 'loss' top: 'p'"), context())


# -- Accuracy


def accuracy(param="", tops="top: 'y'"):
    return layer(
        f"type: 'Accuracy' bottom: 'score' bottom: 'label' {tops} accuracy_param {{ {param} }}"
    )


@few
@given(case=scored(), k=st.integers(1, 3))
def test_accuracy(case, k):
    x, labels, axis = case
    k = min(k, x.shape[axis])
    spec = accuracy(f"top_k: {k} axis: {axis} ignore_label: {IGNORE}", "top: 'y' top: 'each'")
    total, each = Rig(Accuracy, spec, [x, labels]).forward()
    best = np.moveaxis(np.argsort(-x, axis=axis), axis, 0)[:k]
    correct, valid = (best == labels).any(axis=0), labels != IGNORE
    np.testing.assert_allclose(total, correct[valid].mean() if valid.any() else 0)
    for c, value in enumerate(each):
        of_class = labels == c
        np.testing.assert_allclose(value, correct[of_class].mean() if of_class.any() else 0)


def test_equal_scores_and_nan_count_against():
    for x in (np.zeros((2, 3)), np.full((2, 3), np.nan)):
        assert Rig(Accuracy, accuracy(), [x, np.zeros(2)]).forward() == [0]


def test_accuracy_refusals():
    with pytest.raises(ShapeError, match="4 best of 3"):
        Accuracy(accuracy("top_k: 4"), context()).shapes((2, 3), (2,))
    with pytest.raises(ShapeError, match=r"2 labels.*found 3"):
        Accuracy(accuracy(), context()).shapes((2, 3), (3,))
    with pytest.raises(DataError, match="label 7 in 'label', item 1; expected a class from 0 to 2"):
        Rig(Accuracy, accuracy(), [np.zeros((2, 3)), np.array([1, 7])]).forward()
