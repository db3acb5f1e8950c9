from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import ShapeError, SpecError
from demitasse.layers.bias import Bias
from demitasse.layers.scale import Scale
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, layer
from .strategies import few, numbers, shapes

PARAM = {Bias: "bias_param", Scale: "scale_param"}


def spec(cls, two=False, **fields):
    text = " ".join(f"{k}: {v}" for k, v in fields.items())
    bottoms = "bottom: 'x' bottom: 'operand'" if two else ""
    return layer(f"type: '{cls.type}' {bottoms} {PARAM[cls]} {{ {text} }}")


def spread(operand, axis, ndim):
    return operand.reshape((1,) * axis + operand.shape + (1,) * (ndim - axis - operand.ndim))


@pytest.mark.parametrize("cls", [Bias, Scale])
@few
@given(shape=shapes(), data=st.data(), bias=st.booleans())
def test_parameter(cls, shape, data, bias):
    axis = data.draw(st.integers(0, len(shape) - 1))
    count = data.draw(st.integers(-1, len(shape) - axis))
    given_axis = axis - data.draw(st.sampled_from([0, len(shape)]))
    fields = {"axis": given_axis, "num_axes": count}
    if cls is Scale and bias:
        fields["bias_term"] = "true"
    x = numbers(shape)
    rig = check_gradient(cls, spec(cls, **fields), [x])
    operand = shape[axis:] if count == -1 else shape[axis : axis + count]
    assert set(rig.shapes.params) == {operand}
    wide = [spread(p, 0 if count == 0 else axis, x.ndim) for p in rig.params]
    want = x + wide[0] if cls is Bias else x * wide[0] + (wide[1] if len(wide) > 1 else 0)
    np.testing.assert_allclose(rig.forward()[0], want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cls", [Bias, Scale])
@few
@given(shape=shapes(), data=st.data(), bias=st.booleans())
def test_second_bottom(cls, shape, data, bias):
    axis = data.draw(st.integers(0, len(shape) - 1))
    end = data.draw(st.integers(axis, len(shape)))
    fields = {"axis": axis, "num_axes": 7}  # num_axes is not looked at
    if cls is Scale and bias:
        fields["bias_term"] = "true"
    x, operand = numbers(shape), numbers(shape[axis:end], 1)
    rig = check_gradient(cls, spec(cls, two=True, **fields), [x, operand])
    assert len(rig.params) == (cls is Scale and bias)
    wide = spread(operand, axis if operand.ndim else 0, x.ndim)
    want = x + wide if cls is Bias else x * wide
    if rig.params:
        want = want + spread(rig.params[0], axis if operand.ndim else 0, x.ndim)
    np.testing.assert_allclose(rig.forward()[0], want, rtol=1e-12, atol=1e-12)


def test_in_place():
    x = numbers((2, 3, 4))
    check_gradient(Bias, layer("type: 'Bias' bottom: 'x' top: 'x'"), [x], in_place=True)
    rig = Rig(Scale, layer("type: 'Scale' bottom: 'x' top: 'x'"), [x], in_place=True)
    np.testing.assert_allclose(rig.forward()[0], x * rig.params[0][:, None])


def test_fillers():
    rig = Rig(Scale, spec(Scale, bias_term="true"), [np.zeros((2, 3))])
    assert [(f.type, f.value) for f in rig.layer.fillers()] == [("constant", 1), ("constant", 0)]
    text = "filler { type: 'uniform' } bias_filler { value: 2 } bias_term: true"
    rig = Rig(Scale, layer(f"type: 'Scale' scale_param {{ {text} }}"), [np.zeros((2, 3))])
    assert [f.type for f in rig.layer.fillers()] == ["uniform", "constant"]
    rig = Rig(Scale, spec(Scale, two=True), [np.zeros((2, 3)), np.zeros(3)])
    assert list(rig.layer.fillers()) == []
    assert [f.value for f in Rig(Bias, spec(Bias), [np.zeros((2, 3))]).layer.fillers()] == [0]


@pytest.mark.parametrize("cls", [Bias, Scale])
def test_refusals(cls):
    x = np.zeros((2, 3, 4))
    with pytest.raises(SpecError, match="negative num_axes"):
        Rig(cls, spec(cls, num_axes=-2), [x])
    with pytest.raises(ShapeError, match=r"spans 3 axes from axis 1.*at most 2"):
        Rig(cls, spec(cls, num_axes=3), [x])
    with pytest.raises(ShapeError, match="works on axis 3"):
        Rig(cls, spec(cls, axis=3), [x])
    for other in [(4,), (3, 4, 1), (2,)]:
        with pytest.raises(ShapeError, match="cannot lay its second input along"):
            Rig(cls, spec(cls, two=True), [x, np.zeros(other)])
