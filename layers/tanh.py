"""TanH: the hyperbolic tangent of every element.

    y = tanh(x)            dx = dy (1 - y^2)

Any shape; may work in place.  Source: Caffe's src/caffe/layers/tanh_layer.cpp.
"""

from __future__ import annotations

import numpy as np

from ..kernels import sigmoid as kernel
from .base import Array
from .neuron import Neuron


class TanH(Neuron):
    type = "TanH"
    backward_reads = ("top0",)

    def function(self, x: Array, y: Array) -> None:
        np.tanh(x, out=y)

    def gradient(self, known: Array, dy: Array, dx: Array) -> None:
        kernel.tanh_gradient(known, dy, dx, self.scratch)
