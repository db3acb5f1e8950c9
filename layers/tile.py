"""Tile: the bottom several times, one behind the other, along one axis.

    y = [x, x, ..]                                dx = dy_0 + dy_1 + ..

    x (.., C, *S) -> y (.., tiles C, *S);  the axis is `axis` (1)

SpecError without a positive number of `tiles`.  Source: Caffe's src/caffe/layers/tile_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..errors import SpecError
from .axes import axis_of
from .base import Array, Blob, Context, Layer, Shape, Shapes


class Tile(Layer):
    type = "Tile"
    records = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._axis, self._tiles = int(spec.tile_param.axis), int(spec.tile_param.tiles)
        if self._tiles < 1:
            raise SpecError(
                f"{self.label} does not say how many tiles to make",
                where=context.where,
                expected="tiles: 1 or more",
                found=self._tiles if spec.tile_param.HasField("tiles") else "none",
            )

    def shapes(self, *bottom: Shape) -> Shapes:
        (shape,) = bottom
        axis = axis_of(self, self._axis, shape)
        return Shapes(((*shape[:axis], self._tiles * shape[axis], *shape[axis + 1 :]),))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        tiles, x = self._tiled(top[0].data, bottom[0].data)
        tiles[...] = x[:, None]

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0]:
            tiles, dx = self._tiled(top[0].diff, bottom[0].diff)
            np.add.reduce(tiles, axis=1, out=dx)

    def _tiled(self, y: Array, x: Array) -> tuple[Array, Array]:
        """(outer, tiles, inner), (outer, inner)."""
        outer = prod(x.shape[: self._axis % x.ndim])
        return y.reshape(outer, self._tiles, -1), x.reshape(outer, -1)
