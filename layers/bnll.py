"""BNLL: the binomial normal log likelihood of every element, a smooth rectifier ("softplus").

    y = log(1 + exp(x))            dx = dy (1 - exp(-y)) = dy / (1 + exp(-x))

Any shape; may work in place.  Caffe's gradient reads x, and so is wrong in place; this one reads y.
Source: Caffe's src/caffe/layers/bnll_layer.cpp.
"""

from __future__ import annotations

from ..kernels import neuron as kernel
from .base import Array
from .neuron import Neuron


class BNLL(Neuron):
    type = "BNLL"
    backward_reads = ("top0",)

    def function(self, x: Array, y: Array) -> None:
        kernel.bnll(x, y)

    def gradient(self, known: Array, dy: Array, dx: Array) -> None:
        kernel.bnll_gradient(known, dy, dx, self.scratch)
