"""Sigmoid and TanH."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.kernels.strips import LENGTH
from demitasse.layers.sigmoid import Sigmoid
from demitasse.layers.tanh import TanH
from hypothesis import given
from scipy.special import expit

from .driver import Rig, check_gradient, layer
from .strategies import few, numbers, shapes

CASES = [(Sigmoid, expit), (TanH, np.tanh)]


@pytest.mark.parametrize(("cls", "formula"), CASES)
@pytest.mark.parametrize("in_place", [False, True])
@few
@given(shape=shapes())
def test_gradient(cls, formula, in_place, shape):
    x = numbers(shape) * 3
    spec = layer(f"type: '{cls.type}' bottom: 'x' top: '{'x' if in_place else 'y'}'")
    rig = check_gradient(cls, spec, [x], in_place=in_place)
    np.testing.assert_allclose(rig.forward()[0], formula(x), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("cls", "formula"), CASES)
def test_more_than_one_strip_and_no_overflow(cls, formula):
    x = np.linspace(-500, 500, LENGTH + 7).astype("f4")
    rig = Rig(cls, layer(f"type: '{cls.type}'"), [x], dtype=np.float32)
    (y,) = rig.forward()
    np.testing.assert_allclose(y, formula(x.astype("f8")), atol=1e-6)
    (dx,), _ = rig.backward([np.ones_like(x)])
    assert np.isfinite(dx).all() and dx[0] == dx[-1] == 0 and dx[LENGTH // 2] > 0
