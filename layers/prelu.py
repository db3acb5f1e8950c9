"""PReLU: what is negative is multiplied by a slope that is learned.

    y = max(x, 0) + a min(x, 0)    dx = dy where x > 0, else a dy    da += sum dy min(x, 0)

x (n, c, ...)      a (c,), with channel_shared a single number; filled with 0.25 by default

May work in place; da needs x, so then the net keeps a copy of it.  ShapeError for a bottom without
channels.  Source: Caffe's src/caffe/layers/prelu_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ..errors import ShapeError
from ..kernels import prelu as kernel
from .base import Blob, Context, Layer, Shape, Shapes
from .sizes import times


class PReLU(Layer):
    type = "PReLU"
    records = True
    in_place = True
    backward_reads = ("bottom0",)

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._shared = bool(spec.prelu_param.channel_shared)

    def shapes(self, *bottom: Shape) -> Shapes:
        shape = bottom[0]
        if len(shape) < 2:
            raise ShapeError(
                f"{self.label} wants a bottom with channels",
                where=self.context.where,
                expected="2 axes or more",
                found=f"'{self.spec.bottom[0]}' of shape {times(shape)}",
            )
        slope = () if self._shared else (shape[1],)
        return Shapes((shape,), params=(slope,), scratch=self.context.strip(prod(shape)))

    def fillers(self) -> Sequence[Any]:
        param = self.spec.prelu_param
        quarter = type(param.filler)(type="constant", value=0.25)
        return (param.filler if param.HasField("filler") else quarter,)

    def _view(self, shape: Shape) -> Shape:
        """(outer, channels, inner)"""
        return (1, 1, prod(shape)) if self._shared else (shape[0], shape[1], prod(shape[2:]))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        view = self._view(bottom[0].shape)
        x, y = bottom[0].data.reshape(view), top[0].data.reshape(view)
        kernel.prelu(x, self.blobs[0].data, y, self.scratch)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        view, slope = self._view(bottom[0].shape), self.blobs[0]
        x, dy = bottom[0].data.reshape(view), top[0].diff.reshape(view)
        if self.param_propagate_down[0]:
            slope.diff += kernel.slope_gradient(x, dy, slope.data, self.scratch).reshape(
                slope.shape
            )
        if propagate_down[0]:
            kernel.gradient(x, dy, slope.data, bottom[0].diff.reshape(view), self.scratch)
