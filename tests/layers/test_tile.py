"""Tile."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import ShapeError, SpecError
from demitasse.layers.tile import Tile
from hypothesis import given
from hypothesis import strategies as st

from .driver import check_gradient, context, layer
from .strategies import few, numbers, shapes


def tile(param):
    return layer(f"type: 'Tile' tile_param {{ {param} }}")


@few
@given(shape=shapes(), tiles=st.integers(1, 3), data=st.data())
def test_gradient(shape, tiles, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = numbers(shape)
    rig = check_gradient(Tile, tile(f"axis: {axis} tiles: {tiles}"), [x])
    np.testing.assert_array_equal(rig.forward()[0], np.concatenate([x] * tiles, axis))


def test_the_axis_is_1_by_default():
    assert Tile(tile("tiles: 5"), context()).shapes((2, 3, 4)).tops == ((2, 15, 4),)


@pytest.mark.parametrize("param", ["", "tiles: 0", "tiles: -2"])
def test_without_a_number_of_tiles(param):
    found = param.removeprefix("tiles: ") or "none"
    with pytest.raises(SpecError, match=f"net:3:1: layer 'test' .Tile.*1 or more, found {found}"):
        Tile(tile(param), context(where="net:3:1"))


def test_an_axis_that_is_not_there():
    with pytest.raises(ShapeError, match="axis 1"):
        Tile(tile("tiles: 2"), context()).shapes((3,))
