"""Scale: a factor for every channel, and perhaps a bias.

    y = s x + b         dx = s dy         ds += sum x dy         db += sum dy

    x: any shape      s: a parameter (filled with 1 by default), or the second bottom
    b: with bias_term, always a parameter, as large as s      (layers/span.py: which axes)

May work in place; ds needs x, so then the net keeps a copy of it.
Source: Caffe's src/caffe/layers/scale_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..kernels import channels as kernel
from .base import Array, Blob, Context, Layer, Shape, Shapes
from .span import Span


class Scale(Layer):
    type = "Scale"
    records = True
    bottoms = (1, 2)
    in_place = True
    backward_reads = ("bottom*",)

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._span = Span(self, spec.scale_param)
        self._learned, self._has_bias = len(spec.bottom) == 1, bool(spec.scale_param.bias_term)

    def shapes(self, *bottom: Shape) -> Shapes:
        operand, _ = self._span.operand(*bottom)
        return Shapes((bottom[0],), params=(operand,) * (self._learned + self._has_bias))

    def fillers(self) -> Sequence[Any]:
        param = self.spec.scale_param
        ones = type(param.filler)(type="constant", value=1)
        factor = param.filler if param.HasField("filler") else ones
        return (factor,) * self._learned + (param.bias_filler,) * self._has_bias

    def _view(self, bottom: Sequence[Blob]) -> Shape:
        """x as (outer, operand, inner)."""
        return self._span.operand(*(blob.shape for blob in bottom))[1]

    def _factor(self, bottom: Sequence[Blob]) -> Array:
        return (self.blobs[0] if self._learned else bottom[1]).data

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        view = self._view(bottom)
        shift = self.blobs[-1].data if self._has_bias else None
        x, y = bottom[0].data.reshape(view), top[0].data.reshape(view)
        kernel.scale(x, self._factor(bottom), y, shift)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        view, factor = self._view(bottom), self._factor(bottom)
        x, dy = bottom[0].data.reshape(view), top[0].diff.reshape(view)
        if self._has_bias and self.param_propagate_down[-1]:
            diff = self.blobs[-1].diff
            diff += kernel.total(dy).reshape(diff.shape)
        if self._learned and self.param_propagate_down[0]:
            diff = self.blobs[0].diff
            diff += kernel.dot(x, dy).reshape(diff.shape)
        if not self._learned and propagate_down[1]:
            bottom[1].diff[...] = kernel.dot(x, dy).reshape(factor.shape)
        if propagate_down[0]:
            kernel.scale(dy, factor, bottom[0].diff.reshape(view))
