"""Sigmoid: the logistic function of every element.

    y = 1 / (1 + exp(-x))            dx = dy y (1 - y)

Any shape; may work in place.  Source: Caffe's src/caffe/layers/sigmoid_layer.cpp.
"""

from __future__ import annotations

from ..kernels import sigmoid as kernel
from .base import Array
from .neuron import Neuron


class Sigmoid(Neuron):
    type = "Sigmoid"
    backward_reads = ("top0",)

    def function(self, x: Array, y: Array) -> None:
        kernel.sigmoid(x, y)

    def gradient(self, known: Array, dy: Array, dx: Array) -> None:
        kernel.sigmoid_gradient(known, dy, dx, self.scratch)
