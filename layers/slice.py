"""Slice: the bottom in pieces along one axis; the reverse of Concat.

    [y_0, y_1, ..] = x                            dx = [dy_0, dy_1, ..]

    x (.., C, *S) -> y_i (.., C_i, *S);  the axis is `axis` or the older `slice_dim`

The pieces end at the `slice_point`s, or are equal where there are none.  SpecError and ShapeError
where the points do not rise within the axis, or the axis cannot be divided.

Source: Caffe's src/caffe/layers/slice_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from ..errors import ShapeError, SpecError
from .axes import axis_of, given_axis
from .base import Array, Blob, Context, Layer, Shape, Shapes


class Slice(Layer):
    type = "Slice"
    records = True
    tops = (1, None)

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.slice_param
        self._axis = given_axis(self, param, "slice_dim")
        self._points = [int(point) for point in param.slice_point]
        if self._points and len(self._points) != len(spec.top) - 1:
            raise SpecError(
                f"{self.label} has the wrong number of slice_points",
                where=context.where,
                expected=f"{len(spec.top) - 1}, between its {len(spec.top)} tops, or none",
                found=len(self._points),
            )

    def shapes(self, *bottom: Shape) -> Shapes:
        (shape,) = bottom
        axis = axis_of(self, self._axis, shape)
        size, pieces = shape[axis], len(self.spec.top)
        if not self._points and size % pieces:
            raise ShapeError(
                f"{self.label} cannot cut axis {axis} of its bottom '{self.spec.bottom[0]}' into "
                f"{pieces} equal pieces",
                where=self.context.where,
                expected=f"a multiple of {pieces}",
                found=size,
                remedy="Give slice_points",
            )
        points = [0, *self._points, size]
        if self._points and any(b <= a for a, b in pairwise(points)):
            if all(a < b for a, b in pairwise(points[:-1])):
                raise ShapeError(
                    f"{self.label} has a bottom '{self.spec.bottom[0]}' that is too small for its "
                    f"slice_points: axis {axis} ends where the last one is, or before",
                    where=self.context.where,
                    expected=f"at least {points[-2] + 1}",
                    found=size,
                )
            raise ShapeError(
                f"{self.label} has slice_points that do not rise within axis {axis} of its bottom "
                f"'{self.spec.bottom[0]}'",
                where=self.context.where,
                expected=f"from 1 to {size - 1}, each larger than the one before",
                found=", ".join(map(str, self._points)),
            )
        if not self._points:
            points = [size // pieces * i for i in range(pieces + 1)]
        return Shapes(
            tuple((*shape[:axis], b - a, *shape[axis + 1 :]) for a, b in pairwise(points))
        )

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for blob, part in self._parts(bottom[0].data, top):
            blob.data[...] = part

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0]:
            for blob, part in self._parts(bottom[0].diff, top):
                part[...] = blob.diff

    def _parts(self, whole: Array, top: Sequence[Blob]) -> Iterator[tuple[Blob, Array]]:
        """Each top and its part of the bottom."""
        axis, start = self._axis % whole.ndim, 0
        for blob in top:
            end = start + blob.shape[axis]
            yield blob, whole[(slice(None),) * axis + (slice(start, end),)]
            start = end
