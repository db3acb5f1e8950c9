"""ArgMax: where the `top_k` largest values are, largest first.

    with `axis`       x (.., C, *S) -> y (.., k, *S)       indices, or with out_max_val the values
    without           x (N, ...) -> y (N, 1, k, 1, ..)     indices into all but the first axis
                                    y (N, 2, k, 1, ..)     with out_max_val: indices, then values

Without `axis` the top has as many axes as the bottom, at least 3.  Of equal values the last comes
first.  There is no gradient.  SpecError for a top_k below 1, ShapeError for one that is too large.

Source: Caffe's src/caffe/layers/argmax_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ..errors import ShapeError, SpecError
from ..kernels import argmax as kernel
from .axes import axis_of
from .base import Blob, Context, Shape, Shapes
from .without_gradient import WithoutGradient


class ArgMax(WithoutGradient):
    type = "ArgMax"

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.argmax_param
        self._k, self._values = int(param.top_k), bool(param.out_max_val)
        self.records = self._k == 1  # more are sorted, which CuPy waits for
        self._axis = int(param.axis) if param.HasField("axis") else None
        if self._k < 1:
            raise SpecError(
                f"{self.label} looks for nothing",
                where=context.where,
                expected="top_k: 1 or more",
                found=self._k,
            )

    def shapes(self, *bottom: Shape) -> Shapes:
        (shape,) = bottom
        outer, n, inner = self._split(shape)
        if self._k > n:
            raise ShapeError(
                f"{self.label} cannot find the {self._k} largest of {n} values",
                where=self.context.where,
                expected=f"top_k from 1 to {n}",
            )
        if self._axis is None:
            top = (shape[0], 2 if self._values else 1, self._k, *(1,) * (len(shape) - 3))
        else:
            axis = self._axis % len(shape)
            top = (*shape[:axis], self._k, *shape[axis + 1 :])
        return Shapes((top,), scratch=kernel.scratch_size(outer, n, inner))

    def _split(self, shape: Shape) -> tuple[int, int, int]:
        """The bottom as (outer, where to look, inner)."""
        axis = axis_of(self, self._axis or 0, shape)
        if self._axis is None:
            return shape[0], prod(shape[1:]), 1
        return prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        outer, n, inner = self._split(bottom[0].shape)
        x, y = bottom[0].data.reshape(outer, n, inner), top[0].data
        index = value = None
        if self._axis is None:
            y = y.reshape(outer, -1, self._k, 1)
            index, value = y[:, 0], y[:, 1] if self._values else None
        elif self._values:
            value = y.reshape(outer, self._k, inner)
        else:
            index = y.reshape(outer, self._k, inner)
        kernel.largest(x, self._k, index, value, self.scratch)
