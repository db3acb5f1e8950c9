"""MVN: every channel of every image brought to mean 0 and variance 1.

    y = (x - mean) / std,  std = sqrt(variance) + eps
                                                 dx = (dy - mean(dy) - y mean(dy y)) / std

    across_channels             mean and variance of each image, not of each channel
    normalize_variance: false   y = x - mean                 dx = dy - mean(dy)

x (N, C, ...); the top has four axes at least, ones at the end if need be.  May work in place,
unless that would change the shape: ShapeError.  The gradient is Caffe's, which takes eps for
negligible (y should be multiplied by std / sqrt(variance)).
Source: Caffe's src/caffe/layers/mvn_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ..errors import ShapeError
from ..kernels import mvn as kernel
from .base import Array, Blob, Buffer, Context, Layer, Shape, Shapes
from .sizes import times


class MVN(Layer):
    type = "MVN"
    records = True
    in_place = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self.param = spec.mvn_param
        self.backward_reads = ("top0",) if self.param.normalize_variance else ()

    def shapes(self, *bottom: Shape) -> Shapes:
        top = bottom[0] + (1,) * (4 - len(bottom[0]))
        if top != bottom[0] and self.spec.top[0] == self.spec.bottom[0]:
            raise ShapeError(
                f"{self.label} makes four axes of its bottom's {len(bottom[0])}, so that it cannot "
                "work in place",
                where=self.context.where,
                found=f"'{self.spec.bottom[0]}' of shape {times(bottom[0])}",
                remedy="Give the top a name of its own",
            )
        if not self.param.normalize_variance:
            return Shapes((top,))
        std = Buffer(self._folded(top)[:1])
        return Shapes((top,), saved=(std,), scratch=self.context.strip(prod(top)))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        y = self._view(top[0].data)
        kernel.centre(bottom[0].data.reshape(y.shape), y)
        if self.param.normalize_variance:
            kernel.standardize(y, self.param.eps, self.saved[0])

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if not propagate_down[0]:
            return
        dy = self._view(top[0].diff)
        dx = bottom[0].diff.reshape(dy.shape)
        if self.param.normalize_variance:
            kernel.gradient(self._view(top[0].data), dy, self.saved[0], dx, self.scratch)
        else:
            kernel.centre(dy, dx)

    def _folded(self, top: Shape) -> Shape:
        """(groups, elements)"""
        first = 1 if self.param.across_channels else 2
        return prod(top[:first]), prod(top[first:])

    def _view(self, array: Array) -> Array:
        return array.reshape(self._folded(array.shape))
