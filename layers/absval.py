"""AbsVal: the absolute value of every element.

    y = |x|            dx = dy sign(x), 0 where x is 0

Any shape.  Not in place: the sign would be lost.
Source: Caffe's src/caffe/layers/absval_layer.cpp.
"""

from __future__ import annotations

import numpy as np

from ..kernels import neuron as kernel
from .base import Array
from .neuron import Neuron


class AbsVal(Neuron):
    type = "AbsVal"
    in_place = False
    backward_reads = ("bottom0",)

    def function(self, x: Array, y: Array) -> None:
        np.abs(x, out=y)

    def gradient(self, known: Array, dy: Array, dx: Array) -> None:
        kernel.absolute_gradient(known, dy, dx, self.scratch)
