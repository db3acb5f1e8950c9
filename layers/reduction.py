"""Reduction: the axes from `axis` on become one number.

    SUM       y = c sum x                         dx = c dy
    MEAN      y = c sum x / #x                    dx = c dy / #x
    ASUM      y = c sum |x|                       dx = c dy sign(x)
    SUMSQ     y = c sum x^2                       dx = 2 c dy x

    x (*A, *B) -> y A;  B: the axes from `axis` (0) on; c: `coeff`

Source: Caffe's src/caffe/layers/reduction_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ..kernels import reduction as kernel
from .axes import axis_of
from .base import Array, Blob, Context, Layer, Shape, Shapes


class Reduction(Layer):
    type = "Reduction"
    records = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.reduction_param
        self._axis, self._coeff = int(param.axis), float(param.coeff)
        self._op: str = param.ReductionOp.Name(param.operation)
        self.backward_reads = ("bottom0",) if self._op in ("ASUM", "SUMSQ") else ()

    def shapes(self, *bottom: Shape) -> Shapes:
        (shape,) = bottom
        axis = axis_of(self, self._axis, shape)
        rows = prod(shape[:axis])
        return Shapes((shape[:axis],), scratch=kernel.scratch_size(rows, prod(shape[axis:])))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x = self._rows(bottom[0].data)
        kernel.forward(self._op, x, self._factor(x), top[0].data.reshape(-1), self.scratch)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0]:
            x, dx = self._rows(bottom[0].data), self._rows(bottom[0].diff)
            dy = top[0].diff.reshape(-1)
            kernel.backward(self._op, x, dy, self._factor(x), dx, self.scratch)

    def _rows(self, array: Array) -> Array:
        return array.reshape(prod(array.shape[: self._axis % array.ndim]), -1)

    def _factor(self, x: Array) -> float:
        return self._coeff / x.shape[1] if self._op == "MEAN" else self._coeff
