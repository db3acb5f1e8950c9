from __future__ import annotations

import numpy as np
import pytest
from demitasse.layers.power import Power
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, layer
from .strategies import few, numbers, shapes


def spec(power, scale, shift):
    text = f"power: {power} scale: {scale} shift: {shift}"
    return layer(f"type: 'Power' power_param {{ {text} }}")


@few
@given(
    shape=shapes(),
    power=st.sampled_from([0, 1, 2, 3, -1, 0.5, 1.5]),
    scale=st.sampled_from([0, 1, -0.5, 2]),
    shift=st.sampled_from([4, 7.25]),
)
def test_gradient(shape, power, scale, shift):
    x = np.clip(numbers(shape), -1.5, 1.5)
    rig = check_gradient(Power, spec(power, scale, shift), [x])
    np.testing.assert_allclose(rig.forward()[0], (shift + scale * x) ** power, rtol=1e-12)


@pytest.mark.parametrize("numbers", [(1, -2, 3), (0, 1, 0), (2, 0, 3)])
def test_where_the_slope_is_constant_backward_reads_nothing(numbers):
    x = np.linspace(-1, 1, 6).reshape(2, 3)
    assert Rig(Power, spec(*numbers), [x]).layer.backward_reads == ()
    check_gradient(Power, spec(*numbers), [x], in_place=True)


def test_a_base_of_zero():
    x = np.array([0.0, 2.0])
    rig = Rig(Power, spec(3, 1, 0), [x])
    assert rig.forward()[0].tolist() == [0, 8]
    assert rig.backward([[1, 1]])[0][0].tolist() == [0, 12]  # Caffe: NaN, 12
    rig = Rig(Power, spec(0, 1, 0), [x])
    assert rig.forward()[0].tolist() == [1, 1]
    rig = Rig(Power, spec(-1, 0, 0), [x])
    assert np.isinf(rig.forward()[0]).all()


def test_a_negative_base_under_a_broken_power_is_nan():
    rig = Rig(Power, spec(0.5, 1, 0), [[-1.0, 4.0]])
    (y,) = rig.forward()
    assert np.isnan(y[0]) and y[1] == 2
    (dx,), _ = rig.backward([[1, 1]])
    assert np.isnan(dx[0]) and dx[1] == 0.25
