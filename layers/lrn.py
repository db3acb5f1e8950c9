"""LRN: every element divided by a power of the squares around it (local response normalization).

    y = x s^-beta,      s = k + alpha / n sum x^2      over the n elements of a window around x

    ACROSS_CHANNELS   local_size channels (axis 1)
    WITHIN_CHANNEL    local_size places on every axis behind the channels, and k = 1 whatever the
                      message says

x (N, C, ...), of any number of axes (Caffe: four).  Outside the blob are zeros, which count in n.
Defaults: local_size 5, alpha 1, beta 0.75, k 1.  SpecError for an even local_size, ShapeError for
too few axes.  Source: Caffe's src/caffe/layers/lrn_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ..errors import ShapeError, SpecError
from ..kernels import lrn as kernel
from .base import Array, Blob, Context, Layer, Shape, Shapes
from .sizes import times


class LRN(Layer):
    type = "LRN"
    records = True
    backward_reads = ("bottom0",)

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self.param = param = spec.lrn_param
        self._within = param.norm_region == param.WITHIN_CHANNEL
        if param.local_size % 2 == 0:
            raise SpecError(
                f"{self.label} wants a window with a middle",
                where=context.where,
                expected="an odd local_size",
                found=param.local_size,
            )

    def shapes(self, *bottom: Shape) -> Shapes:
        shape, least = bottom[0], 3 if self._within else 2
        if len(shape) < least:
            raise ShapeError(
                f"{self.label} has {'no spatial axes' if self._within else 'no channels'} to "
                "normalize over",
                where=self.context.where,
                expected=f"{least} axes or more",
                found=f"'{self.spec.bottom[0]}' of shape {times(shape)}",
            )
        return Shapes((shape,), scratch=kernel.scratch_size(self._folded(shape)))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, y = self._view(bottom[0].data), self._view(top[0].data)
        kernel.normalize(x, y, self._norm(x), self.scratch)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0]:
            x, dy, dx = map(self._view, (bottom[0].data, top[0].diff, bottom[0].diff))
            kernel.gradient(x, dy, dx, self._norm(x), self.scratch)

    def _norm(self, x: Array) -> kernel.Norm:
        param = self.param
        n = param.local_size ** (x.ndim - 2)
        k = 1 if self._within else param.k
        return kernel.Norm((param.local_size - 1) // 2, param.alpha / n, param.beta, k)

    def _folded(self, shape: Shape) -> Shape:
        """(outer, *window axes, inner)"""
        if self._within:
            return (shape[0] * shape[1], *shape[2:], 1)
        return (shape[0], shape[1], prod(shape[2:]))

    def _view(self, array: Array) -> Array:
        return array.reshape(self._folded(array.shape))
