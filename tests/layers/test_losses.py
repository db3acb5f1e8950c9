"""ContrastiveLoss, HingeLoss, InfogainLoss, MultinomialLogisticLoss, and the common divisor."""

from __future__ import annotations

import re

import numpy as np
import pytest
from demitasse.data.blobproto import write_blob
from demitasse.errors import DataError, GraphError, ShapeError, SpecError
from demitasse.kernels import log_loss
from demitasse.kernels.strips import LENGTH
from demitasse.layers.contrastive_loss import ContrastiveLoss
from demitasse.layers.hinge_loss import HingeLoss
from demitasse.layers.infogain_loss import InfogainLoss
from demitasse.layers.multinomial_logistic_loss import MultinomialLogisticLoss
from demitasse.layers.normalization import Normalization
from demitasse.layers.softmax_with_loss import SoftmaxWithLoss
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, layer
from .strategies import few, numbers, shapes

DTYPES = [np.float32, np.float64]


def rng(*key):
    return np.random.default_rng(key)


# ---- the divisor


@pytest.mark.parametrize(
    ("text", "default", "want"),
    [
        ("", "VALID", 3.5),
        ("", "BATCH_SIZE", 4),
        ("normalize: true", "BATCH_SIZE", 3.5),
        ("normalize: false", "VALID", 4),
        ("normalize: false normalization: FULL", "VALID", 12),
        ("normalization: VALID", "BATCH_SIZE", 3.5),
        ("normalization: NONE", "VALID", 1),
    ],
)
def test_divisor(text, default, want):
    rule = Normalization(layer(f"type: 'x' loss_param {{ {text} }}").loss_param, default)
    assert rule.divisor(4, 12, 3.5) == want and rule.ignore is None
    assert rule.divisor(0, 0, 0.25) == 1


# ---- ContrastiveLoss


def contrastive(text=""):
    return layer(
        "type: 'ContrastiveLoss' bottom: 'a' bottom: 'b' bottom: 'similar' top: 'loss' "
        f"contrastive_loss_param {{ {text} }}"
    )


@few
@given(
    n=st.integers(1, 6),
    c=st.integers(1, 5),
    axes=st.integers(0, 2),
    margin=st.sampled_from([0.5, 1.0, 4.0]),
    legacy=st.booleans(),
)
def test_contrastive_gradient(n, c, axes, margin, legacy):
    a, b = numbers((n, c), 1), 3 * numbers((n, c), 2)
    similar = rng(n, c).choice([0, 0.9, -0.5, 1, 2, -1], n)  # cut to integers
    distance = np.sqrt(((a - b) ** 2).sum(1))
    gap = np.maximum(margin - (distance**2 if legacy else distance), 0)
    want = np.where(np.abs(similar) >= 1, distance**2, gap if legacy else gap**2)
    text = f"margin: {margin} legacy_version: {str(legacy).lower()}"
    shape = (n, c) + (1,) * axes
    # Caffe's guard against a distance of 0 is not part of the derivative
    rig = check_gradient(
        ContrastiveLoss,
        contrastive(text),
        [a.reshape(shape), b.reshape(shape), similar],
        tolerance=1e-6 if legacy else 1e-3,
    )
    np.testing.assert_allclose(rig.forward()[0], want.sum() / (2 * n), rtol=1e-12, atol=1e-12)


def test_contrastive_gradient_is_guarded_as_in_caffe():
    rig = Rig(ContrastiveLoss, contrastive("margin: 3"), [[[4.0, 0]], [[2.0, 0]], [0]])
    assert rig.forward()[0] == 0.5
    (da, db, _), _ = rig.backward([10.0])
    np.testing.assert_allclose(da, [[-10 * 1 / (2 + 1e-4) * 2, 0]], rtol=1e-15)
    np.testing.assert_array_equal(db, -da)
    rig = Rig(ContrastiveLoss, contrastive(), [[[1.0]], [[1.0]], [0]])
    assert rig.forward()[0] == 0.5
    assert rig.backward([1.0])[0][0].tolist() == [[0]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_contrastive_in_strips(dtype):
    n, c = 5, LENGTH // 2
    rig = Rig(ContrastiveLoss, contrastive(), [np.ones((n, c)), np.zeros((n, c)), np.ones((n, 1))])
    rig = Rig(ContrastiveLoss, contrastive(), rig.inputs, dtype=dtype)
    assert rig.shapes.scratch == 2 * c
    assert rig.forward()[0] == c / 2
    (da, _, _), _ = rig.backward([n])
    assert da.dtype == dtype and (da == 1).all()


def test_contrastive_refusals():
    a = np.zeros((3, 2))
    for wrong in (np.zeros((3, 2, 2)), np.zeros((3, 2, 1, 1, 1)), np.zeros(())):
        with pytest.raises(ShapeError, match="rows of features; expected 'a' of shape n x c"):
            Rig(ContrastiveLoss, contrastive(), [wrong, a, np.zeros(3)])
    for wrong in (np.zeros((3, 3)), np.zeros((2, 3))):
        with pytest.raises(ShapeError, match="expected 'b' like 'a', 3x2, found"):
            Rig(ContrastiveLoss, contrastive(), [a, wrong, np.zeros(3)])
    for wrong in (np.zeros(2), np.zeros((1, 3)), np.zeros((3, 2)), np.zeros(())):
        with pytest.raises(ShapeError, match="expected 3 in 'similar'"):
            Rig(ContrastiveLoss, contrastive(), [a, a, wrong])


# ---- HingeLoss


def hinge(text=""):
    return layer(
        f"type: 'HingeLoss' bottom: 'x' bottom: 'l' top: 'loss' hinge_loss_param {{ {text} }}"
    )


@few
@given(shape=shapes(), squared=st.booleans())
def test_hinge_gradient(shape, squared):
    x = numbers(shape)
    flat = x.reshape(len(x), -1)
    labels = rng(1, *shape).integers(0, flat.shape[1], len(x))
    sign = np.ones(flat.shape)
    sign[np.arange(len(x)), labels] = -1
    margin = np.maximum(0, 1 + sign * flat)
    spec = hinge("norm: L2" if squared else "")
    rig = check_gradient(HingeLoss, spec, [x, labels], kinks=[-1, 1])
    want = (margin**2 if squared else margin).sum() / len(x)
    np.testing.assert_allclose(rig.forward()[0], want, rtol=1e-12)


def test_hinge_has_no_slope_where_the_margin_is_just_kept():
    rig = Rig(HingeLoss, hinge("norm: L1"), [[[-1.0, 1.0, -2.0]], [1]])
    assert rig.forward()[0] == 0
    assert rig.backward([1.0])[0][0].tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_hinge_in_strips(dtype):
    n, c = 3, LENGTH - 1
    rig = Rig(HingeLoss, hinge(), [np.zeros((n, c)), [0, 1, 2]], dtype=dtype)
    assert rig.shapes.scratch == c and rig.forward()[0] == c
    (dx, _), _ = rig.backward([n])
    assert dx.dtype == dtype and dx.sum() == n * (c - 2) and (dx[[0, 1, 2], [0, 1, 2]] == -1).all()


@pytest.mark.parametrize("cls", [HingeLoss, MultinomialLogisticLoss])
def test_refused_labels(cls):
    spec = layer(f"type: '{cls.type}' bottom: 'x' bottom: 'l' top: 'loss'")
    x = np.ones((3, 2, 2))
    for wrong in (np.zeros(2), np.zeros((3, 2)), np.zeros((1, 3)), np.zeros(())):
        with pytest.raises(ShapeError, match=r"'x', which is 3x2x2; expected 3 labels in 'l'"):
            Rig(cls, spec, [x, wrong])
    with pytest.raises(ShapeError, match="expected a batch"):
        Rig(cls, spec, [np.ones(()), np.ones(())])
    for wrong in (4, -1, np.nan):
        with pytest.raises(DataError, match="expected a class from 0 to 3"):
            Rig(cls, spec, [x, [0, 3, wrong]]).forward()
    Rig(cls, spec, [x, np.array([0, 3.9, -0.5]).reshape(3, 1, 1, 1)]).forward()  # cut


# ---- MultinomialLogisticLoss

MULTINOMIAL = layer("type: 'MultinomialLogisticLoss' bottom: 'x' bottom: 'l' top: 'loss'")


@few
@given(shape=shapes())
def test_multinomial_gradient(shape):
    p = np.abs(numbers(shape)) + 0.1
    labels = rng(2, *shape).integers(0, p[0].size, len(p))
    rig = check_gradient(MultinomialLogisticLoss, MULTINOMIAL, [p, labels], tolerance=1e-5)
    true = p.reshape(len(p), -1)[np.arange(len(p)), labels]
    np.testing.assert_allclose(rig.forward()[0], -np.log(true).mean(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_multinomial_threshold(dtype):
    rig = Rig(MultinomialLogisticLoss, MULTINOMIAL, [[[0, 1.0], [0.5, 0.5]], [0, 1]], dtype=dtype)
    np.testing.assert_allclose(rig.forward()[0], (20 * np.log(10) + np.log(2)) / 2, rtol=1e-6)
    (dp, _), _ = rig.backward([2.0])
    np.testing.assert_allclose(dp, [[-1e20, 0], [0, -2]], rtol=1e-6)


# ---- InfogainLoss


def infogain(text="", bottoms="xlh"):
    names = " ".join(f"bottom: '{name}'" for name in bottoms)
    tops = "" if "top:" in text else "top: 'loss'"
    return layer(f"type: 'InfogainLoss' {names} {tops} {text}")


@st.composite
def scored(draw):
    """Scores, labels (some of them 255), the axis of the classes, and H."""
    shape = draw(shapes(least=2, most=4))
    axis = draw(st.integers(1, len(shape) - 1))
    places = shape[:axis] + shape[axis + 1 :]
    labels = rng(axis, *shape).integers(0, shape[axis], places)
    labels[rng(9, *shape).random(places) < 0.3] = 255
    return numbers(shape), labels, axis, numbers((shape[axis],) * 2)


def reference(x, labels, axis, h):
    x = np.moveaxis(x, axis, -1)
    p = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    valid = labels != 255
    return -(h[labels[valid]] * np.log(p[valid])).sum(), valid.sum()


@pytest.mark.parametrize("mode", ["", "FULL", "VALID", "BATCH_SIZE", "NONE"])
@few
@given(case=scored(), negative=st.booleans())
def test_infogain_gradient(mode, case, negative):
    x, labels, axis, h = case
    text = f"infogain_loss_param {{ axis: {axis - x.ndim if negative else axis} }} loss_param {{ "
    text += "ignore_label: 255 " + (f"normalization: {mode} }}" if mode else "}")
    total, valid = reference(*case)
    items = int(np.prod(x.shape[:axis]))
    count = {"": valid, "VALID": valid, "FULL": labels.size, "BATCH_SIZE": items, "NONE": 1}[mode]
    three = Rig(InfogainLoss, infogain(text), [x, labels, h[None, None]])
    np.testing.assert_allclose(three.forward()[0], total / max(1, count), rtol=1e-10, atol=1e-12)
    check_gradient(InfogainLoss, infogain(text), [x, labels, h], samples=12)


def test_infogain_with_the_identity_is_softmax_with_loss():
    x, labels = numbers((3, 4, 2)), rng(1).integers(0, 4, (3, 2))
    other = layer("type: 'SoftmaxWithLoss' bottom: 'x' bottom: 'l' top: 'loss'")
    results = []
    for rig in (
        Rig(InfogainLoss, infogain(), [x, labels, np.eye(4)]),
        Rig(SoftmaxWithLoss, other, [x, labels]),
    ):
        results.append((rig.forward()[0], rig.backward([0.7])[0][0]))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-12)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [1, 12, 30, 64])
@pytest.mark.parametrize("shape", [(2, 3, 20), (20, 3), (4, 13, 2), (5, 3, 7)])
def test_infogain_in_blocks(shape, dtype, length, monkeypatch):
    """However much is worked on at once, the result is one."""
    monkeypatch.setattr(log_loss, "LENGTH", length)
    x, places = numbers(shape), (shape[0], *shape[2:])
    labels = rng(*shape).integers(0, shape[1], places)
    labels.reshape(-1)[5::7] = 255
    h = numbers((shape[1],) * 2)
    rig = Rig(
        InfogainLoss, infogain("loss_param { ignore_label: 255 }"), [x, labels, h], dtype=dtype
    )
    total, valid = reference(x, labels, 1, h)
    tolerance = 1e-4 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(rig.forward()[0], total / valid, rtol=tolerance, atol=tolerance)
    (dx, _, _), _ = rig.backward([valid])
    e = np.exp(x)
    p = np.moveaxis(e / e.sum(1, keepdims=True), 1, -1)
    want = np.zeros(p.shape)
    on = labels != 255
    want[on] = p[on] * h[labels[on]].sum(-1, keepdims=True) - h[labels[on]]
    np.testing.assert_allclose(np.moveaxis(dx, 1, -1), want, atol=tolerance)


def test_infogain_shows_the_probabilities_and_takes_no_gradient_from_there():
    x = numbers((2, 3))
    spec = infogain("top: 'loss' top: 'prob' loss_weight: 1 loss_weight: 0")
    rig = Rig(InfogainLoss, spec, [x, [0, 2], np.ones((3, 3))])
    _, p = rig.forward()
    np.testing.assert_allclose(p, np.exp(x) / np.exp(x).sum(1, keepdims=True), rtol=1e-12)
    (with_prob, *_), _ = rig.backward([1.0, np.full((2, 3), 9.0)])
    rig.forward()
    (without, *_), _ = rig.backward([1.0, np.zeros((2, 3))])
    np.testing.assert_array_equal(with_prob, without)


def test_infogain_counts_improbable_classes_up_to_a_threshold():
    rig = Rig(InfogainLoss, infogain(), [[[0, 100.0]], [0], [[1, 0], [0, 1]]])
    np.testing.assert_allclose(rig.forward()[0], 20 * np.log(10), rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_infogain_matrix_from_a_file(tmp_path, dtype):
    x, labels, h = numbers((4, 3)), [0, 1, 2, 1], numbers((3, 3)).astype(np.float32)
    third = Rig(InfogainLoss, infogain(), [x, labels, h], dtype=dtype)
    want = third.forward()[0], third.backward([1.0])[0][0]
    for legacy in (True, False):
        write_blob(tmp_path / "h.binaryproto", h, legacy=legacy)
        spec = infogain("infogain_loss_param { source: 'h.binaryproto' }", "xl")
        rig = Rig(InfogainLoss, spec, [x, labels], folder=str(tmp_path), dtype=dtype)
        assert rig.forward()[0] == want[0]
        np.testing.assert_array_equal(rig.backward([1.0])[0][0], want[1])


def test_infogain_refusals(tmp_path):
    x, labels = np.zeros((2, 3)), np.zeros(2)
    fine = (x, labels, np.eye(3))

    def refused(kind, words, text="", bottoms="xlh", inputs=fine):
        with pytest.raises(kind, match=re.escape(words)):
            Rig(InfogainLoss, infogain(text, bottoms), inputs, folder=str(tmp_path)).forward()

    refused(SpecError, "has no infogain matrix", "", "xl", (x, labels))
    source = "infogain_loss_param { source: 'h' }"
    refused(SpecError, "there is no such file", source, "xl", (x, labels))
    write_blob(tmp_path / "h", np.eye(2))
    refused(ShapeError, "expected 3x3, found 2x2 in 'h'", source, "xl", (x, labels))
    refused(ShapeError, "expected 3x3, found 3x1 in 'h'", inputs=(x, labels, np.ones((3, 1))))
    refused(ShapeError, "needs one label for each", inputs=(x, np.zeros(3), np.eye(3)))
    refused(ShapeError, "works on axis 2", "infogain_loss_param { axis: 2 }")
    refused(SpecError, "old 'normalize'", "loss_param { normalize: true }")
    refused(DataError, "found the label 3", inputs=(x, np.array([0, 3]), np.eye(3)))
    refused(GraphError, "expected 2 to 3", "", "x", (x,))
