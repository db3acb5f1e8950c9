"""Concat: the bottoms one behind the other, along one axis.

    y = [x_0, x_1, ..]                            dx_i = the part of dy that x_i became

    x_i (.., C_i, *S) -> y (.., sum C_i, *S);  the axis is `axis` or the older `concat_dim`

A later bottom that is larger than the first one on axes behind the second is cut there to the
middle: the rule of Freiburg's caffe_unet, with dx_i = 0 outside; BVLC's Caffe refuses it.
ShapeError where sizes differ in another way, or by an odd number, which has no middle.

Source: Caffe's src/caffe/layers/concat_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from ..errors import ShapeError
from .axes import axis_of, given_axis
from .base import Array, Blob, Context, Layer, Shape, Shapes
from .sizes import times


class Concat(Layer):
    type = "Concat"
    records = True
    bottoms = (1, None)
    repeats = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._axis = given_axis(self, spec.concat_param, "concat_dim")
        self.any_layout = self._axis == 1

    def shapes(self, *bottom: Shape) -> Shapes:
        first = bottom[0]
        axis = axis_of(self, self._axis, first)
        for name, shape in zip(self.spec.bottom, bottom, strict=True):
            if not self._fits(first, shape, axis):
                raise ShapeError(
                    f"{self.label} cannot join '{name}' ({times(shape)}) to "
                    f"'{self.spec.bottom[0]}' ({times(first)}) along axis {axis}",
                    where=self.context.where,
                    expected="equal sizes on all other axes, or image axes larger by an even "
                    "number, to be cut to their middle",
                    remedy="Change the tile size, or Crop the larger one yourself",
                )
        total = sum(shape[axis] for shape in bottom)
        return Shapes(((*first[:axis], total, *first[axis + 1 :]),))

    @staticmethod
    def _fits(first: Shape, shape: Shape, axis: int) -> bool:
        return len(shape) == len(first) and all(
            i == axis or n == m or (i >= 2 and n > m and (n - m) % 2 == 0)
            for i, (n, m) in enumerate(zip(shape, first, strict=True))
        )

    def slices(self, *bottom: Shape) -> Sequence[int | None]:
        first, found, start = bottom[0], list[int | None](), 0
        axis = self._axis % len(first)
        for shape in bottom:
            alike = shape[:axis] == first[:axis] and shape[axis + 1 :] == first[axis + 1 :]
            found.append(start if alike and prod(first[:axis]) == 1 else None)
            start += shape[axis] * prod(first[axis + 1 :])
        return found

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        copies = self.context.device.copies
        for blob, part, middle in self._parts(bottom, top[0].data):
            if not np.may_share_memory(part, blob.data):  # else it lies there already
                copies.copy(blob.data[middle], part)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        copies, parts = self.context.device.copies, self._parts(bottom, top[0].diff)
        for (blob, part, middle), down in zip(parts, propagate_down, strict=True):
            if down and not np.may_share_memory(part, blob.diff):
                if part.shape != blob.shape:
                    copies.clear(blob.diff)
                copies.copy(part, blob.diff[middle])

    def _parts(
        self, bottom: Sequence[Blob], joined: Array
    ) -> Iterator[tuple[Blob, Array, tuple[slice, ...]]]:
        """Each bottom, its part of the top, and what of the bottom that part holds."""
        axis, start = self._axis % joined.ndim, 0
        for blob in bottom:
            end = start + blob.shape[axis]
            part = joined[(slice(None),) * axis + (slice(start, end),)]
            rims = [(n - m) // 2 for n, m in zip(blob.shape, part.shape, strict=True)]
            middle = tuple(slice(r, r + m) for r, m in zip(rims, part.shape, strict=True))
            yield blob, part, middle
            start = end
