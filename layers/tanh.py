"""TanH: the hyperbolic tangent of every element.

    y = tanh(x)            dx = dy (1 - y^2)

Any shape; may work in place.  Source: Caffe's src/caffe/layers/tanh_layer.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..kernels import sigmoid as kernel
from .base import Blob, Layer, Shape, Shapes


class TanH(Layer):
    type = "TanH"
    in_place = True
    backward_reads = ("top0",)

    def shapes(self, *bottom: Shape) -> Shapes:
        return Shapes((bottom[0],), scratch=self.context.strip(math.prod(bottom[0])))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        np.tanh(bottom[0].data, out=top[0].data)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0]:
            kernel.tanh_gradient(top[0].data, top[0].diff, bottom[0].diff, self.scratch)
