"""BatchReindex."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import DataError, ShapeError
from demitasse.layers.batch_reindex import BatchReindex
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, context, layer
from .strategies import few, numbers, shapes

SPEC = layer("type: 'BatchReindex' bottom: 'x' bottom: 'index'")


@few
@given(shape=shapes(), data=st.data())
def test_gradient(shape, data):
    index = data.draw(st.lists(st.integers(0, shape[0] - 1), min_size=1, max_size=7))
    x = numbers(shape)
    rig = check_gradient(BatchReindex, SPEC, [x, np.array(index)])
    np.testing.assert_array_equal(rig.forward()[0], x[index])


def test_an_index_is_cut_to_an_integer():
    rig = Rig(BatchReindex, SPEC, [np.array([5.0, 6.0]), np.array([1.9, 0.5])])
    np.testing.assert_array_equal(rig.forward()[0], [6, 5])


@pytest.mark.parametrize("wrong", [-1, -0.5, 2, np.nan])
def test_an_index_out_of_range(wrong):
    rig = Rig(BatchReindex, SPEC, [np.ones((2, 3)), np.array([0, 1, wrong])], where="net:3:1")
    with pytest.raises(
        DataError, match=f"net:3:1: .*no item of 'x'; expected 0 to 1, found {wrong}"
    ):
        rig.forward()


def test_shapes_that_do_not_fit():
    for x, index, words in (
        ((2, 3), (2, 1), "list of indices .*; expected one axis, found 'index' of shape 2x1"),
        ((2, 3), (), "list of indices"),
        ((), (2,), "a blob with axes"),
    ):
        with pytest.raises(ShapeError, match=words):
            BatchReindex(SPEC, context()).shapes(x, index)
