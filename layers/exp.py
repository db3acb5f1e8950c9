"""Exp: a base raised to a linear function of every element.

    y = base^(shift + scale x)            dx = dy y scale log(base)

Any shape; may work in place; defaults base -1 (which stands for e), scale 1, shift 0.  SpecError
for any other base that is not positive.  Source: Caffe's src/caffe/layers/exp_layer.cpp.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels import neuron as kernel
from .base import Array, Context
from .logarithm import log_base
from .neuron import Neuron


class Exp(Neuron):
    type = "Exp"
    backward_reads = ("top0",)

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.exp_param
        log = log_base(self, param.base)
        self._inner = log * param.scale
        with np.errstate(over="ignore"):
            self._outer = float(np.exp(np.float64(log * param.shift)))

    def function(self, x: Array, y: Array) -> None:
        kernel.exponential(x, y, self._inner, self._outer)

    def gradient(self, known: Array, dy: Array, dx: Array) -> None:
        kernel.exponential_gradient(known, dy, dx, self._inner)
