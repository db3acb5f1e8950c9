"""ReLU."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import GraphError
from demitasse.kernels.strips import LENGTH
from demitasse.layers.relu import ReLU
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, context, layer
from .strategies import few, numbers, shapes


def spec(slope=0.0, in_place=False):
    top = "x" if in_place else "y"
    return layer(f"type: 'ReLU' bottom: 'x' top: '{top}' relu_param {{ negative_slope: {slope} }}")


@few
@given(
    shape=shapes(),
    slope=st.sampled_from([0, 0.1, 1, 1.5, -0.5]),
    in_place=st.booleans(),
)
def test_gradient(shape, slope, in_place):
    in_place = in_place and slope >= 0
    x = numbers(shape)
    rig = check_gradient(ReLU, spec(slope, in_place), [x], kinks=[0.0], in_place=in_place)
    np.testing.assert_allclose(rig.forward()[0], np.where(x > 0, x, slope * x), rtol=1e-6)


@pytest.mark.parametrize("slope", [0, 0.1])
def test_more_than_one_strip(slope):
    x = np.linspace(-1, 1, 2 * LENGTH + 5).astype("f4")
    rig = Rig(ReLU, spec(slope), [x], dtype=np.float32)
    (y,) = rig.forward()
    np.testing.assert_array_equal(y, np.where(x > 0, x, x * np.float32(slope)))
    (dx,), _ = rig.backward([x + 2])
    np.testing.assert_array_equal(dx, (x + 2) * np.where(x > 0, 1, np.float32(slope)))


def test_nothing_passes_at_zero_but_the_slope():
    for slope in (0, 0.25):
        rig = Rig(ReLU, spec(slope), [np.zeros(3)])
        rig.forward()
        (dx,), _ = rig.backward([np.ones(3)])
        np.testing.assert_array_equal(dx, slope)


def test_backward_reads_one_array_only():
    assert ReLU(spec(0), context()).backward_reads == ("top0",)
    assert ReLU(spec(-0.1), context()).backward_reads == ("bottom0",)


def test_a_negative_slope_below_zero_is_refused_in_place():
    with pytest.raises(GraphError, match=r"negative_slope -0.5"):
        ReLU(spec(-0.5, in_place=True), context())
