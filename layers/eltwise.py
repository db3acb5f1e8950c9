"""Eltwise: bottoms of one shape, combined element by element.

    SUM    y = sum_i c_i x_i            dx_i = c_i dy           (coeff: c, default 1)
    PROD   y = prod_i x_i               dx_i = dy prod_{j != i} x_j
    MAX    y = max_i x_i                dx_i = dy where x_i won, else 0

PROD with stable_prod_grad: false divides y by x_i instead, which fails at x_i = 0.  MAX: of the
first two, equal, the second wins; a later bottom must be greater.

ShapeError where shapes differ, SpecError for coefficients that do not fit.
Source: Caffe's src/caffe/layers/eltwise_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..errors import ShapeError, SpecError
from ..kernels import eltwise as kernel
from .base import Blob, Buffer, Context, Layer, Shape, Shapes
from .sizes import times


class Eltwise(Layer):
    type = "Eltwise"
    records = True
    bottoms = (2, None)

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.eltwise_param
        self._operation, self._stable = (
            param.EltwiseOp.Name(param.operation),
            param.stable_prod_grad,
        )
        self._coefficients = [float(c) for c in param.coeff] or [1.0] * len(spec.bottom)
        if self._operation == "PROD":
            self.backward_reads = ("bottom*",) if self._stable else ("bottom*", "top0")
        if len(param.coeff) and self._operation != "SUM":
            raise SpecError(
                f"{self.label} has coefficients, which only SUM knows",
                where=context.where,
                found=self._operation,
            )
        if len(self._coefficients) != len(spec.bottom):
            raise SpecError(
                f"{self.label} needs a coeff for each bottom, or none",
                where=context.where,
                expected=len(spec.bottom),
                found=len(self._coefficients),
            )

    def shapes(self, *bottom: Shape) -> Shapes:
        for name, shape in zip(self.spec.bottom, bottom, strict=True):
            if shape != bottom[0]:
                raise ShapeError(
                    f"{self.label} combines bottoms of one shape only",
                    where=self.context.where,
                    expected=f"'{name}' like '{self.spec.bottom[0]}', {times(bottom[0])}",
                    found=times(shape),
                )
        winner = Buffer(bottom[0], "uint8" if len(bottom) < 257 else "int32")
        return Shapes(
            tops=(bottom[0],),
            saved=(winner,) if self._operation == "MAX" else (),
            scratch=self.context.strip(prod(bottom[0])),
        )

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xs, y = [b.data for b in bottom], top[0].data
        if self._operation == "SUM":
            kernel.weighted_sum(xs, self._coefficients, y, self.scratch)
        elif self._operation == "PROD":
            kernel.product(xs, y)
        else:
            kernel.maximum(xs, y, self.saved[0], self.scratch)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        dy = top[0].diff
        for i, (blob, down) in enumerate(zip(bottom, propagate_down, strict=True)):
            dx = blob.diff
            if not down:
                continue
            if self._operation == "SUM":
                np.multiply(dy, self._coefficients[i], out=dx)
            elif self._operation == "MAX":
                kernel.maximum_gradient(dy, self.saved[0], i, dx, self.scratch)
            else:
                if self._stable:
                    kernel.product([b.data for j, b in enumerate(bottom) if j != i], dx)
                else:
                    np.divide(top[0].data, blob.data, out=dx)
                dx *= dy
