"""ELU: what is negative runs into a floor at -alpha, exponentially.

    y = x where x > 0, else alpha (exp(x) - 1)            dx = dy where x > 0, else dy (y + alpha)

Any shape; may work in place.  Where alpha >= 0 the top has the sign of the bottom, so backward
reads the top alone.  Source: Caffe's src/caffe/layers/elu_layer.cpp.
"""

from __future__ import annotations

from typing import Any

from ..kernels import neuron as kernel
from .base import Array, Context
from .neuron import Neuron


class ELU(Neuron):
    type = "ELU"

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._alpha = spec.elu_param.alpha
        self.backward_reads = ("top0",) if self._alpha >= 0 else ("bottom0",)

    def function(self, x: Array, y: Array) -> None:
        kernel.elu(x, y, self._alpha, self.scratch)

    def gradient(self, known: Array, dy: Array, dx: Array) -> None:
        is_top = self._alpha >= 0
        kernel.elu_gradient(known, dy, dx, self._alpha, self.scratch, is_top=is_top)
