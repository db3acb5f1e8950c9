"""Swish: every element times its own sigmoid.

    y = x s,  s = 1 / (1 + exp(-beta x))            dx = dy s (1 + beta x (1 - s))

Any shape; may work in place.  Caffe keeps s beside y; here backward makes s again from x, which is
one array less.  Source: Caffe's src/caffe/layers/swish_layer.cpp.
"""

from __future__ import annotations

from typing import Any

from ..kernels import neuron as kernel
from .base import Array, Context
from .neuron import Neuron


class Swish(Neuron):
    type = "Swish"
    backward_reads = ("bottom0",)

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._beta = spec.swish_param.beta

    def function(self, x: Array, y: Array) -> None:
        kernel.swish(x, y, self._beta, self.scratch)

    def gradient(self, known: Array, dy: Array, dx: Array) -> None:
        kernel.swish_gradient(known, dy, dx, self._beta, self.scratch)
