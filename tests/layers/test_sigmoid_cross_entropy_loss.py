from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import ShapeError
from demitasse.kernels.strips import LENGTH
from demitasse.layers.sigmoid_cross_entropy_loss import SigmoidCrossEntropyLoss
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, layer
from .strategies import few, numbers, shapes


def spec(text=""):
    return layer(
        "type: 'SigmoidCrossEntropyLoss' bottom: 'x' bottom: 't' top: 'loss' "
        f"loss_param {{ {text} }}"
    )


def reference(x, t, keep):
    p = 1 / (1 + np.exp(-x))
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))[keep].sum()


@pytest.mark.parametrize(
    ("text", "divisor"),
    [
        ("", "n"),
        ("normalization: BATCH_SIZE", "n"),
        ("normalization: FULL", "all"),
        ("normalization: VALID", "valid"),
        ("normalization: NONE", "one"),
        ("normalize: true", "valid"),
        ("normalize: false", "n"),
        ("normalize: true normalization: NONE", "one"),
    ],
)
@few
@given(shape=shapes(), ignore=st.booleans())
def test_gradient(text, divisor, shape, ignore):
    x, t = numbers(shape), np.clip(np.abs(numbers(shape, 1)), 0, 0.99)
    keep = (np.abs(numbers(shape, 2)) > 0.5) if ignore else np.ones(shape, bool)
    t[~keep] = 7.5  # cut to 7
    message = spec(f"{text} {'ignore_label: 7' if ignore else ''}")
    rig = check_gradient(SigmoidCrossEntropyLoss, message, [x, t], samples=12)
    count = {"n": len(x), "all": x.size, "valid": max(1, keep.sum()), "one": 1}[divisor]
    want = reference(x, t, keep) / count
    np.testing.assert_allclose(rig.forward()[0], want, rtol=1e-12, atol=1e-12)


def test_large_scores_do_not_overflow():
    x = np.array([[-1e4, 1e4, -1e4, 1e4]])
    rig = Rig(SigmoidCrossEntropyLoss, spec(), [x, [[0, 1, 1, 0]]], dtype=np.float32)
    assert rig.forward()[0] == 2e4
    (dx, dt), _ = rig.backward([1.0])
    assert dx.tolist() == [[0, 0, -1, 1]] and dt is None


def test_more_than_one_strip_and_everything_ignored():
    shape = (2, LENGTH)
    rig = Rig(
        SigmoidCrossEntropyLoss,
        spec("ignore_label: -1 normalization: VALID"),
        [np.ones(shape), np.full(shape, -1)],
    )
    assert rig.forward()[0] == 0
    (dx, _), _ = rig.backward([1.0])
    assert dx.shape == shape and not dx.any()
    rig = Rig(SigmoidCrossEntropyLoss, spec(), [np.zeros(shape), np.zeros(shape)])
    np.testing.assert_allclose(rig.forward()[0], LENGTH * np.log(2), rtol=1e-12)


def test_target_of_another_size_is_refused():
    for other in [(2, 4), (3, 2), ()]:
        with pytest.raises(ShapeError, match="wants a target for every score; expected 't' like"):
            Rig(SigmoidCrossEntropyLoss, spec(), [np.zeros((2, 3)), np.zeros(other)])
    x = np.zeros((2, 3, 1))
    assert Rig(SigmoidCrossEntropyLoss, spec(), [x, np.zeros((2, 3))]).shapes.tops == ((),)
