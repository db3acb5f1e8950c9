from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import GraphError, ShapeError
from demitasse.kernels.strips import LENGTH
from demitasse.layers.euclidean_loss import EuclideanLoss
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, layer
from .strategies import few, numbers, shapes

TWO = layer("type: 'EuclideanLoss' bottom: 'a' bottom: 'b'")
THREE = layer("type: 'EuclideanLoss' bottom: 'a' bottom: 'b' bottom: 'w'")


@few
@given(shape=shapes())
def test_gradient(shape):
    a, b = numbers(shape, 1), numbers(shape, 2)
    rig = check_gradient(EuclideanLoss, TWO, [a, b])
    (loss,) = rig.forward()
    assert loss.shape == ()
    np.testing.assert_allclose(loss, ((a - b) ** 2).sum() / (2 * len(a)), rtol=1e-12)


@few
@given(shape=shapes(), heavy=st.booleans(), channel_axis=st.booleans())
def test_weighted_gradient(shape, heavy, channel_axis):
    a, b = numbers(shape, 1), numbers(shape, 2)
    pixels = (shape[0], *shape[2:])
    w = np.abs(numbers(pixels, 3)) * (10 if heavy else 1e-3)
    full = w.reshape((shape[0], 1, *shape[2:])[: max(len(shape), 1)])
    rig = check_gradient(EuclideanLoss, THREE, [a, b, full if channel_axis else w])
    channels = shape[1] if len(shape) > 1 else 1
    want = (full * (a - b) ** 2).sum() / (2 * channels * max(1, w.sum()))
    np.testing.assert_allclose(rig.forward()[0], want, rtol=1e-12)


def test_more_than_one_strip():
    a = np.ones((1, 2, LENGTH + 3))
    rig = Rig(EuclideanLoss, TWO, [a, np.zeros((1, 2 * (LENGTH + 3)))])
    assert rig.forward()[0] == LENGTH + 3
    (da, db), _ = rig.backward([0.5])
    assert (da == 0.5).all() and (db == -0.5).all() and db.shape == (1, 2 * (LENGTH + 3))


def test_no_weight_at_all_is_no_loss():
    rig = Rig(EuclideanLoss, THREE, [np.ones((2, 3, 4)), np.zeros((2, 3, 4)), np.zeros((2, 4))])
    assert rig.forward()[0] == 0
    (da, db, dw), _ = rig.backward([1.0])
    assert not da.any() and not db.any() and dw is None


def test_refusals():
    a = np.zeros((2, 3, 4))
    for b, size in [((2, 3, 5), "2x3x5"), ((3, 2, 4), "3x2x4"), ((), "a single number")]:
        with pytest.raises(ShapeError, match=f"differ in size; expected 2x3x4 .* found {size} as"):
            Rig(EuclideanLoss, TWO, [a, np.zeros(b)])
    with pytest.raises(ShapeError, match="one weight for each pixel; expected 2x1x4"):
        Rig(EuclideanLoss, THREE, [a, a, a])
    with pytest.raises(GraphError, match="expected 2 to 3"):
        Rig(EuclideanLoss, layer("type: 'EuclideanLoss'"), [a])
