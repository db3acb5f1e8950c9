"""Eltwise."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import GraphError, ShapeError, SpecError
from demitasse.layers.eltwise import Eltwise
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, context, layer
from .strategies import few, numbers, shapes


def spec(param="", bottoms=2):
    names = " ".join(f"bottom: 'x{i}'" for i in range(bottoms))
    return layer(f"type: 'Eltwise' {names} eltwise_param {{ {param} }}")


@pytest.mark.parametrize(
    ("param", "formula"),
    [
        ("", np.sum),
        ("operation: PROD", np.prod),
        ("operation: PROD stable_prod_grad: false", np.prod),
        ("operation: MAX", np.max),
    ],
)
@few
@given(shape=shapes(), bottoms=st.integers(2, 4))
def test_gradient(param, formula, shape, bottoms):
    arrays = [numbers(shape, seed) for seed in range(bottoms)]
    rig = check_gradient(Eltwise, spec(param, bottoms), arrays)
    np.testing.assert_allclose(rig.forward()[0], formula(arrays, axis=0), rtol=1e-12, atol=1e-15)


def test_coefficients():
    arrays = [numbers((3, 4), seed) for seed in range(3)]
    rig = check_gradient(Eltwise, spec("coeff: 2 coeff: 1 coeff: -0.5", 3), arrays)
    expected = 2 * arrays[0] + arrays[1] - 0.5 * arrays[2]
    np.testing.assert_allclose(rig.forward()[0], expected)


def test_a_zero_factor_has_a_gradient_where_it_is_stable():
    rig = Rig(Eltwise, spec("operation: PROD"), [np.zeros(2), np.full(2, 3.0)])
    rig.forward()
    (a, b), _ = rig.backward([np.ones(2)])
    assert a.tolist() == [3, 3] and b.tolist() == [0, 0]


def test_of_equal_values_the_second_wins_and_later_ones_do_not():
    rig = Rig(Eltwise, spec("operation: MAX", 3), [np.ones(1), np.ones(1), np.ones(1)])
    rig.forward()
    diffs, _ = rig.backward([np.ones(1)])
    assert [d.item() for d in diffs] == [0, 1, 0]


def test_backward_reads_bottoms_for_products_only():
    reads = {p: Eltwise(spec(p), context()).backward_reads for p in ("", "operation: MAX")}
    assert set(reads.values()) == {()}
    assert Eltwise(spec("operation: PROD"), context()).backward_reads == ("bottom*",)


def test_refusals():
    with pytest.raises(ShapeError, match="'x1' like 'x0', 2x3x4x4, found 2x3x4x5"):
        Eltwise(spec(), context()).shapes((2, 3, 4, 4), (2, 3, 4, 5))
    with pytest.raises(SpecError, match=r"coeff for each bottom.*expected 2, found 3"):
        Eltwise(spec("coeff: 1 coeff: 2 coeff: 3"), context())
    with pytest.raises(SpecError, match=r"only SUM.*PROD"):
        Eltwise(spec("operation: PROD coeff: 1 coeff: 2"), context())
    with pytest.raises(GraphError, match="wrong number of bottoms; expected 2 or more"):
        Eltwise(spec(bottoms=1), context())
