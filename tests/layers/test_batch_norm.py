from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import SpecError
from demitasse.layers.batch_norm import BatchNorm
from hypothesis import given

from .driver import Rig, check_gradient, layer
from .strategies import few, numbers, shapes

STATISTICS = {"constants": (0, 1, 2)}


def spec(text="", outer=""):
    return layer(f"type: 'BatchNorm' batch_norm_param {{ {text} }} {outer}")


def axes(shape):
    return tuple(i for i in range(len(shape)) if i != 1)


@pytest.mark.parametrize("in_place", [False, True])
@few
@given(shape=shapes().filter(lambda s: np.prod(s) / (s[1] if len(s) > 1 else 1) > 2))
def test_gradient_by_the_statistics_of_the_batch(in_place, shape):
    x = numbers(shape) * 2 + 1
    message = layer(f"type: 'BatchNorm' top: '{'x' if in_place else 'y'}'")
    rig = check_gradient(BatchNorm, message, [x], in_place=in_place, **STATISTICS)
    (y,) = rig.forward()
    want = (x - x.mean(axes(shape), keepdims=True)) / np.sqrt(
        x.var(axes(shape), keepdims=True) + 1e-5
    )
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-7)


@few
@given(shape=shapes())
def test_gradient_by_stored_statistics(shape):
    x, c = numbers(shape), shape[1] if len(shape) > 1 else 1
    params = [numbers((c,)), np.abs(numbers((c,), 1)) + 0.5, np.array([2.0])]
    rig = check_gradient(
        BatchNorm, spec("eps: 0.01"), [x], phase="TEST", params=params, **STATISTICS
    )
    (y,) = rig.forward()
    assert all((b.data == p).all() for b, p in zip(rig.layer.blobs, params, strict=True))
    one_each = (1, c) + (1,) * (len(shape) - 2) if len(shape) > 1 else (1,)
    mean, variance = (p.reshape(one_each) / 2 for p in params[:2])
    want = (x - mean) / np.sqrt(variance + np.float32(0.01))
    np.testing.assert_allclose(y, want, rtol=1e-6, atol=1e-12)


def test_statistics_are_kept_as_unscaled_sums():
    rng = np.random.default_rng(0)
    batches = rng.standard_normal((3, 4, 2, 5))
    rig = Rig(
        BatchNorm, spec("moving_average_fraction: 0.5"), [batches[0]], params=[[0, 0]] * 2 + [[0]]
    )
    mean, var, weight = 0, 0, 0
    for x in batches:
        rig.forward([x])
        mean, weight = mean / 2 + x.mean((0, 2)), weight / 2 + 1
        var = var / 2 + x.var((0, 2), ddof=1)
    for blob, want in zip(rig.layer.blobs, [mean, var, [weight]], strict=True):
        np.testing.assert_allclose(blob.data, want, rtol=1e-12)


def test_a_batch_of_one_value_has_no_unbiased_variance():
    rig = Rig(BatchNorm, spec(), [[[3.0]]], params=[[0], [0], [0]])
    assert rig.forward()[0] == 0
    assert [float(b.data[0]) for b in rig.layer.blobs] == [3, 0, 1]


def test_which_statistics():
    x = numbers((4, 2))
    for phase, text, stored in [
        ("TRAIN", "", False),
        ("TEST", "", True),
        ("TEST", "use_global_stats: false", False),
        ("TRAIN", "use_global_stats: true", True),
    ]:
        rig = Rig(BatchNorm, spec(text), [x], params=[[0, 0], [0, 0], [0]], phase=phase)
        (y,) = rig.forward()
        assert np.allclose(y, x / np.sqrt(1e-5), rtol=1e-4) == stored  # mean and variance 0
        assert (rig.layer.blobs[2].data[0] == 0) == stored


def test_its_parameters_are_not_learned():
    assert BatchNorm.learns is False
    rig = Rig(BatchNorm, spec(outer="param { lr_mult: 0 } param { decay_mult: 0 }"), [[[1.0]]])
    assert [(f.type, f.value) for f in rig.layer.fillers()] == [("constant", 0)] * 3
    with pytest.raises(SpecError, match=r"measured, not learned.*found lr_mult: 0, lr_mult: 0.5"):
        Rig(BatchNorm, spec(outer="param { lr_mult: 0 } param { lr_mult: 0.5 }"), [[[1.0]]])
