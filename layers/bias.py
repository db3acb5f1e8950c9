"""Bias: a number added to every channel.

    y = x + b            dx = dy            db += sum dy over all axes that b does not span

    x: any shape      b: a parameter, or the second bottom (layers/span.py says along which axes)

May work in place.  Source: Caffe's src/caffe/layers/bias_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..kernels import channels as kernel
from .base import Blob, Context, Layer, Shape, Shapes
from .span import Span


class Bias(Layer):
    type = "Bias"
    records = True
    bottoms = (1, 2)
    in_place = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._span = Span(self, spec.bias_param)
        self._learned = len(spec.bottom) == 1

    def shapes(self, *bottom: Shape) -> Shapes:
        operand, _ = self._span.operand(*bottom)
        return Shapes((bottom[0],), params=(operand,) if self._learned else ())

    def fillers(self) -> Sequence[Any]:
        return (self.spec.bias_param.filler,) if self._learned else ()

    def _view(self, bottom: Sequence[Blob]) -> Shape:
        """x as (outer, operand, inner)."""
        return self._span.operand(*(blob.shape for blob in bottom))[1]

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        view = self._view(bottom)
        b = (self.blobs[0] if self._learned else bottom[1]).data
        x, y = bottom[0].data.reshape(view), top[0].data.reshape(view)
        np.add(x, kernel.column(b), out=y)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        dy = top[0].diff.reshape(self._view(bottom))
        if self._learned and self.param_propagate_down[0]:
            diff = self.blobs[0].diff
            diff += kernel.total(dy).reshape(diff.shape)
        if not self._learned and propagate_down[1]:
            bottom[1].diff[...] = kernel.total(dy).reshape(bottom[1].shape)
        if propagate_down[0] and bottom[0].diff is not top[0].diff:
            bottom[0].diff[...] = top[0].diff
