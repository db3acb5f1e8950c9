"""Reduction."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import ShapeError
from demitasse.kernels import reduction as kernel
from demitasse.layers.reduction import Reduction
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, context, layer
from .strategies import few, numbers, shapes

MEANING = {"SUM": np.sum, "MEAN": np.mean}
MEANING["ASUM"] = lambda x, axis: np.abs(x).sum(axis)
MEANING["SUMSQ"] = lambda x, axis: (x * x).sum(axis)


def reduction(param=""):
    return layer(f"type: 'Reduction' reduction_param {{ {param} }}")


@pytest.mark.parametrize("operation", MEANING)
@few
@given(shape=shapes(), coeff=st.sampled_from([1, -2, 0.25]), data=st.data())
def test_gradient(operation, shape, coeff, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = numbers(shape)
    spec = reduction(f"operation: {operation} axis: {axis} coeff: {coeff}")
    kinks = [0.0] if operation == "ASUM" else []
    rig = check_gradient(Reduction, spec, [x], kinks=kinks)
    expected = coeff * MEANING[operation](x, axis=tuple(range(axis % x.ndim, x.ndim)))
    np.testing.assert_allclose(rig.forward()[0], expected, rtol=1e-12)


def test_a_sum_of_everything_by_default():
    assert Reduction(reduction(), context()).shapes((2, 3, 4)).tops == ((),)
    rig = Rig(Reduction, reduction(), [np.ones((2, 3, 4))])
    assert rig.forward()[0] == 24


def test_no_absolute_value_has_no_slope():
    rig = Rig(Reduction, reduction("operation: ASUM coeff: 3"), [np.array([-2.0, 0.0, 5.0])])
    rig.forward()
    (dx,), _ = rig.backward([2.0])
    np.testing.assert_array_equal(dx, [-6, 0, 6])


@pytest.mark.parametrize("operation", MEANING)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_strips(operation, dtype):
    """Rows much shorter and longer than what fits into the cache, and scratch no larger."""
    for n, d in ((3000, 17), (2, 50_000)):
        x = numbers((n, d)).astype(dtype)
        rig = Rig(Reduction, reduction(f"operation: {operation} axis: 1"), [x], dtype=dtype)
        assert rig.shapes.scratch == kernel.scratch_size(n, d) < x.size / 2
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        expected = MEANING[operation](x.astype(np.float64), axis=1)
        scale = np.abs(x).sum(1).max() if operation != "MEAN" else 1
        np.testing.assert_allclose(rig.forward()[0], expected, atol=tolerance * scale)


def test_what_backward_reads():
    reads = {
        op: Reduction(reduction(f"operation: {op}"), context()).backward_reads for op in MEANING
    }
    assert reads == {"SUM": (), "MEAN": (), "ASUM": ("bottom0",), "SUMSQ": ("bottom0",)}


def test_an_axis_that_is_not_there():
    with pytest.raises(ShapeError, match="axis 2"):
        Reduction(reduction("axis: 2"), context()).shapes((3, 4))
    with pytest.raises(ShapeError, match="a blob with axes"):
        Reduction(reduction(), context()).shapes(())
