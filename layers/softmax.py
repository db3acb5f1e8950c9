"""Softmax: scores become probabilities, over one axis.

    y[c] = exp(x[c]) / sum_k exp(x[k])            dx[c] = (dy[c] - sum_k dy[k] y[k]) y[c]

x (.., C, ..) with the classes on `axis` (default 1); may work in place.

Source: Caffe's src/caffe/layers/softmax_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from .axes import axis_of, outer_classes_inner
from .base import Array, Blob, Context, Layer, Shape, Shapes


class Softmax(Layer):
    type = "Softmax"
    records = True
    in_place = True
    backward_reads = ("top0",)

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._axis = int(spec.softmax_param.axis)
        self.any_layout = self._axis == 1

    def shapes(self, *bottom: Shape) -> Shapes:
        axis = axis_of(self, self._axis, bottom[0])
        return Shapes((bottom[0],), scratch=prod(bottom[0]) // max(1, bottom[0][axis]))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, y = self._classes(bottom[0].data), self._classes(top[0].data)
        self.context.device.softmax.softmax(x, y, self.scratch)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0]:
            y, dy = self._classes(top[0].data), self._classes(top[0].diff)
            dx = self._classes(bottom[0].diff)
            self.context.device.softmax.gradient(y, dy, dx, self.scratch)

    def _classes(self, x: Array) -> Array:
        return outer_classes_inner(x, self._axis)
