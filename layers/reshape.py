"""Reshape: the same data with another shape.

    y = x with another shape                      dx = dy

    x (*A, *B, *C) -> y (*A, *shape, *C);  B: `num_axes` axes (-1: all the rest) from `axis` on

In `shape`, 0 is the size of the bottom's axis in this place, and -1, once, whatever is needed to
keep the number of elements.  A negative `axis` is counted from behind the last: -1 appends.

SpecError for a shape that cannot be, ShapeError where the bottom does not fit it.
Source: Caffe's src/caffe/layers/reshape_layer.cpp.
"""

from __future__ import annotations

from math import prod
from typing import Any

from ..errors import ShapeError, SpecError
from .base import Context, Shape, Shapes
from .same_data import SameData
from .sizes import times


class Reshape(SameData):
    type = "Reshape"

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.reshape_param
        self._axis, self._count = int(param.axis), int(param.num_axes)
        self._dims = [int(d) for d in param.shape.dim]
        if self._count < -1:
            raise SpecError(
                f"{self.label} has a negative num_axes",
                where=context.where,
                expected="0 or more, or -1 for all",
                found=self._count,
            )
        if min(self._dims, default=0) < -1 or self._dims.count(-1) > 1:
            raise SpecError(
                f"{self.label} has a shape that cannot be",
                where=context.where,
                expected="sizes, 0 for the bottom's, and at most one -1",
                found=", ".join(map(str, self._dims)),
            )

    def shapes(self, *bottom: Shape) -> Shapes:
        (shape,) = bottom
        n = len(shape)
        start = self._axis if self._axis >= 0 else n + self._axis + 1
        end = n if self._count == -1 else start + self._count
        if not 0 <= start <= end <= n:
            raise self._refusal(shape, f"axes {start} to {end - 1} are not all there")
        dims = list(self._dims)
        copied = [i for i, size in enumerate(dims) if size == 0]
        for i in copied:
            if start + i >= n:
                raise self._refusal(shape, f"there is no axis {start + i} for the 0 in its shape")
            dims[i] = shape[start + i]
        if -1 in dims:
            # what is copied from a replaced axis stands on both sides; so an empty batch may pass
            both = [i for i in copied if start + i < end]
            old = prod(size for i, size in enumerate(shape[start:end]) if i not in both)
            new = prod(size for i, size in enumerate(dims) if size != -1 and i not in both)
            if not new or old % new:
                raise self._refusal(shape, f"{old} elements cannot be divided by {new}")
            dims[dims.index(-1)] = old // new
        top = (*shape[:start], *dims, *shape[end:])
        if prod(top) != prod(shape):
            raise self._refusal(
                shape, f"{times(top)} has {prod(top)} elements, the bottom {prod(shape)}"
            )
        return Shapes((top,))

    def _refusal(self, shape: Shape, why: str) -> ShapeError:
        return ShapeError(
            f"{self.label} cannot bring its bottom '{self.spec.bottom[0]}' ({times(shape)}) into "
            f"the shape ({', '.join(map(str, self._dims))}): {why}",
            where=self.context.where,
        )
