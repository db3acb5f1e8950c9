"""Power: a power of a linear function of every element.

    y = (shift + scale x)^power            dx = dy power scale (shift + scale x)^(power - 1)

Any shape; defaults power 1, scale 1, shift 0.  Where the derivative is constant (power 0 or 1,
scale 0) backward reads no data, and the layer may work in place without a second array.
Source: Caffe's src/caffe/layers/power_layer.cpp; at a base of 0 see kernels/power.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..kernels import power as kernel
from .base import Blob, Context, Layer, Shape, Shapes


class Power(Layer):
    type = "Power"
    records = True
    in_place = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.power_param
        self._numbers = (param.power, param.scale, param.shift)
        if param.power not in (0, 1) and param.scale != 0:
            self.backward_reads = ("bottom0",)

    def shapes(self, *bottom: Shape) -> Shapes:
        return Shapes((bottom[0],), scratch=self.context.strip(math.prod(bottom[0])))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        kernel.power(bottom[0].data, top[0].data, *self._numbers)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0]:
            x, dy, dx = bottom[0].data, top[0].diff, bottom[0].diff
            kernel.power_gradient(x, dy, dx, *self._numbers, self.scratch)
