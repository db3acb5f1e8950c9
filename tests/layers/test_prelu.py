from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import ShapeError
from demitasse.kernels.strips import LENGTH
from demitasse.layers.prelu import PReLU
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, layer
from .in_place import check_in_place
from .strategies import few, numbers, shapes


def spec(param=""):
    return layer(f"type: 'PReLU' prelu_param {{ {param} }}")


def expected(x, slope):
    wide = slope if slope.ndim == 0 else slope.reshape(1, -1, *(1,) * (x.ndim - 2))
    return np.where(x > 0, x, wide * x)


@few
@given(shape=shapes(2, 5, 4), shared=st.booleans())
def test_gradient(shape, shared):
    x = numbers(shape)
    text = f"channel_shared: {'true' if shared else 'false'}"
    rig = check_gradient(PReLU, spec(text), [x], kinks=[0.0])
    assert rig.shapes.params == (() if shared else (shape[1],),)
    np.testing.assert_allclose(rig.forward()[0], expected(x, rig.params[0]), rtol=1e-12)


@pytest.mark.parametrize(
    "shape", [(3, 4, LENGTH // 2), (2, 3, LENGTH + 5), (2 * LENGTH + 1, 2), (2, LENGTH + 7)]
)
def test_more_than_one_part(shape):
    x, dy = numbers(shape).astype("f4"), numbers(shape, 1).astype("f4")
    rig = Rig(PReLU, spec(), [x], dtype=np.float32)
    (y,) = rig.forward()
    np.testing.assert_allclose(y, expected(x, rig.params[0]), rtol=1e-6)
    (dx,), (da,) = rig.backward([dy])
    wide = np.broadcast_to(expected(np.full((1,) * x.ndim, -1), -rig.params[0]), shape)
    np.testing.assert_allclose(dx, np.where(x > 0, dy, wide * dy), rtol=1e-6)
    axes = (0, *range(2, x.ndim))
    exact = np.where(x > 0, 0, x.astype("f8") * dy).sum(axis=axes)
    np.testing.assert_allclose(da, exact, rtol=1e-5, atol=1e-4)


def test_at_zero_the_slope_passes():
    rig = Rig(PReLU, spec(), [np.zeros((1, 2))], params=[[0.5, -2]])
    rig.forward()
    (dx,), (da,) = rig.backward([[[1, 1]]])
    assert dx.tolist() == [[0.5, -2]] and da.tolist() == [0, 0]


def test_fillers():
    x = np.zeros((2, 3))
    (quarter,) = Rig(PReLU, spec(), [x]).layer.fillers()
    assert (quarter.type, quarter.value) == ("constant", 0.25)
    (given,) = Rig(PReLU, spec("filler { type: 'uniform' }"), [x]).layer.fillers()
    assert given.type == "uniform"


def test_a_net_gives_the_same_in_place():
    # of the top, neither sign nor size says what the bottom was
    check_in_place("PReLU", "", (2, 3, 4), params=[[0.5, -1, 0]])


def test_a_bottom_without_channels():
    with pytest.raises(ShapeError, match=r"with channels; expected 2 axes or more, found 'x'.*3"):
        Rig(PReLU, spec(), [np.zeros(3)])
