from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import ShapeError, SpecError
from demitasse.layers.base import Shapes
from demitasse.layers.inner_product import InnerProduct
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, layer
from .strategies import few, numbers, shapes


def spec(**fields):
    text = " ".join(f"{k}: {str(v).lower()}" for k, v in fields.items())
    return layer(f"type: 'InnerProduct' inner_product_param {{ {text} }}")


@few
@given(
    shape=shapes(least=2),
    data=st.data(),
    outputs=st.integers(1, 4),
    bias=st.booleans(),
    transpose=st.booleans(),
    budget=st.sampled_from([1, 64, 1 << 20]),
)
def test_gradient(shape, data, outputs, bias, transpose, budget):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = numbers(shape)
    message = spec(num_output=outputs, axis=axis, bias_term=bias, transpose=transpose)
    rig = check_gradient(InnerProduct, message, [x], budget=budget)
    k = axis % len(shape)
    w = rig.params[0].T if transpose else rig.params[0]
    want = x.reshape(*shape[:k], -1) @ w.T + (rig.params[1] if bias else 0)
    np.testing.assert_allclose(rig.forward()[0], want, rtol=1e-12, atol=1e-12)


def test_shapes_and_scratch_follow_the_budget():
    rig = Rig(InnerProduct, spec(num_output=5), [np.zeros((2, 3, 4))], budget=8 * 25)
    assert rig.shapes == Shapes(((2, 5),), ((5, 12), (5,)), (), scratch=24)


def test_fillers_are_those_of_the_message():
    text = "num_output: 2 weight_filler { type: 'msra' } bias_filler { value: 3 }"
    message = layer(f"type: 'InnerProduct' inner_product_param {{ {text} }}")
    fillers = Rig(InnerProduct, message, [np.zeros((1, 1))]).layer.fillers()
    assert [(f.type, f.value) for f in fillers] == [("msra", 0), ("constant", 3)]
    fillers = Rig(InnerProduct, spec(num_output=1, bias_term=False), [[[0]]]).layer.fillers()
    assert len(fillers) == 1


def test_refusals():
    with pytest.raises(SpecError, match=r"layer 'test' \(InnerProduct\) has no num_output"):
        Rig(InnerProduct, spec(bias_term=True), [np.zeros((2, 3))])
    with pytest.raises(ShapeError, match=r"axis 2.*expected -2 to 1"):
        Rig(InnerProduct, spec(num_output=1, axis=2), [np.zeros((2, 3))])
