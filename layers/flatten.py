"""Flatten: the axes from `axis` to `end_axis` become one.

    y = x with another shape                      dx = dy

    x (*A, *B, *C) -> y (*A, prod B, *C);  B: axis (1) to end_axis (-1, the last), both included

An end_axis just before axis gives a new axis of size 1 there; one before that is a ShapeError.
Source: Caffe's src/caffe/layers/flatten_layer.cpp.
"""

from __future__ import annotations

from math import prod

from ..errors import ShapeError
from .axes import axis_of
from .base import Shape, Shapes
from .same_data import SameData


class Flatten(SameData):
    type = "Flatten"

    def shapes(self, *bottom: Shape) -> Shapes:
        (shape,), param = bottom, self.spec.flatten_param
        start, end = axis_of(self, param.axis, shape), axis_of(self, param.end_axis, shape) + 1
        if end < start:
            raise ShapeError(
                f"{self.label} ends before it begins",
                where=self.context.where,
                expected=f"an end_axis not before axis {start}",
                found=f"{param.end_axis}, for a bottom of {len(shape)} axes",
            )
        return Shapes(((*shape[:start], prod(shape[start:end]), *shape[end:]),))
