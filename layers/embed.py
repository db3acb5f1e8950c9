"""Embed: every number becomes the row of a learned matrix that it names.

    y[m] = w[x[m]] + b            dw[x[m]] += dy[m]            db += sum dy

    x (m...): numbers from 0 to input_dim - 1, cut to integers      y (m..., num_output)
    w (input_dim, num_output)      b (num_output,), unless bias_term is false

The numbers get no gradient.  SpecError without num_output or input_dim; DataError for a number that
names no row (Caffe then reads what lies beside the matrix).
Source: Caffe's src/caffe/layers/embed_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DataError, SpecError
from ..kernels import embed as kernel
from ..kernels.inner_product import bias_gradient
from ..kernels.labels import first_illegal
from .base import Array, Blob, Context, Layer, Shape, Shapes


class Embed(Layer):
    type = "Embed"
    no_gradient = frozenset({0})
    backward_reads = ("bottom0",)

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.embed_param
        self._rows, self._outputs = int(param.input_dim), int(param.num_output)
        self._has_bias = bool(param.bias_term)
        for field, value in (("num_output", self._outputs), ("input_dim", self._rows)):
            if value < 1:
                raise SpecError(
                    f"{self.label} has no {field}",
                    where=context.where,
                    expected=f"embed_param {{ {field}: 1 }} or more",
                )

    def shapes(self, *bottom: Shape) -> Shapes:
        w, b = (self._rows, self._outputs), (self._outputs,)
        return Shapes(((*bottom[0], self._outputs),), params=(w, b) if self._has_bias else (w,))

    def fillers(self) -> Sequence[Any]:
        param = self.spec.embed_param
        return (param.weight_filler, param.bias_filler)[: 1 + self._has_bias]

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        index, y = bottom[0].data, top[0].data.reshape(bottom[0].count, self._outputs)
        self._check(index)
        kernel.embed(index, self.blobs[0].data, y)
        if self._has_bias:
            y += self.blobs[1].data

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        dy = top[0].diff.reshape(bottom[0].count, self._outputs)
        if self.param_propagate_down[0]:
            kernel.weight_gradient(bottom[0].data, dy, self.blobs[0].diff)
        if self._has_bias and self.param_propagate_down[1]:
            bias_gradient(dy, self.blobs[1].diff)

    def _check(self, index: Array) -> None:
        """Refuse a number that names no row."""
        place = first_illegal(index, self._rows, None)
        if place is None:
            return
        position = ", ".join(str(int(k)) for k in np.unravel_index(place, index.shape))
        raise DataError(
            f"{self.label} has no row for a number in '{self.spec.bottom[0]}'"
            + (f", position ({position})" if position else ""),
            where=self.context.where,
            expected=f"0 to {self._rows - 1} (input_dim: {self._rows})",
            found=f"{index.reshape(-1)[place]:g}",
        )
