"""ReLU: what is negative is cut off, or multiplied by negative_slope.

    y = max(x, 0) + slope min(x, 0)            dx = dy where x > 0, else slope dy

Any shape; may work in place.  Where slope >= 0 the top has the sign of the bottom, so backward
reads the top alone.

Source: Caffe's src/caffe/layers/relu_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from .base import Blob, Context, Layer, Shape, Shapes


class ReLU(Layer):
    type = "ReLU"
    records = True
    any_layout = True
    in_place = repeats = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self.slope = float(spec.relu_param.negative_slope)
        self.backward_reads = ("top0",) if self.slope >= 0 else ("bottom0",)

    def shapes(self, *bottom: Shape) -> Shapes:
        return Shapes((bottom[0],), scratch=self.context.strip(prod(bottom[0])))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if not self.absorbed:
            kernel = self.context.device.relu
            kernel.relu(bottom[0].data, top[0].data, self.slope, self.scratch)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0] and not self.absorbed:
            sign = (top if self.slope >= 0 else bottom)[0].data
            kernel = self.context.device.relu
            kernel.gradient(sign, top[0].diff, bottom[0].diff, self.slope, self.scratch)
