"""InnerProduct: a fully connected layer.

    y = x w^T + b            dx = dy w            dw += dy^T x            db += sum dy

    x: all axes before `axis` (default 1) are m, all others k      y (m..., num_output)
    w (num_output, k), with transpose (k, num_output)              b (num_output,), unless no bias

Source: Caffe's src/caffe/layers/inner_product_layer.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..errors import SpecError
from ..kernels import inner_product as kernel
from .axes import axis_of
from .base import Array, Blob, Context, Layer, Shape, Shapes


class InnerProduct(Layer):
    type = "InnerProduct"
    backward_reads = ("bottom0",)  # for dw; dx needs only the weights

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.inner_product_param
        self._outputs, self._axis = int(param.num_output), int(param.axis)
        self._has_bias, self._transpose = bool(param.bias_term), bool(param.transpose)
        if self._outputs < 1:
            raise SpecError(
                f"{self.label} has no num_output",
                where=context.where,
                expected="inner_product_param { num_output: 1 } or more",
            )

    def shapes(self, *bottom: Shape) -> Shapes:
        axis = axis_of(self, self._axis, bottom[0])
        k, n = math.prod(bottom[0][axis:]), self._outputs
        w = (k, n) if self._transpose else (n, k)
        rows = max(1, self.context.budget // self.context.dtype.itemsize // w[1])
        return Shapes(
            tops=((*bottom[0][:axis], n),),
            params=(w, (n,)) if self._has_bias else (w,),
            scratch=min(w[0], rows) * w[1],
        )

    def fillers(self) -> Sequence[Any]:
        param = self.spec.inner_product_param
        return (param.weight_filler, param.bias_filler)[: 1 + self._has_bias]

    def _matrices(self, x: Array, y: Array) -> tuple[Array, Array]:
        """(m, k) and (m, n)."""
        return x.reshape(y.size // self._outputs, -1), y.reshape(-1, self._outputs)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, y = self._matrices(bottom[0].data, top[0].data)
        b = self.blobs[1].data if self._has_bias else None
        kernel.inner_product(x, self.blobs[0].data, b, y, self._transpose)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        x, dy = self._matrices(bottom[0].data, top[0].diff)
        w = self.blobs[0]
        if self.param_propagate_down[0]:
            kernel.weight_gradient(x, dy, w.diff, self._transpose, self.scratch)
        if self._has_bias and self.param_propagate_down[1]:
            kernel.bias_gradient(dy, self.blobs[1].diff)
        if propagate_down[0]:
            dx = bottom[0].diff.reshape(x.shape)
            kernel.data_gradient(dy, w.data, dx, self._transpose)
