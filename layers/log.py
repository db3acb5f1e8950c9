"""Log: the logarithm of a linear function of every element.

    y = log(shift + scale x) / log(base)            dx = dy scale / (log(base) (shift + scale x))

Any shape; may work in place; defaults base -1 (which stands for e), scale 1, shift 0.  Infinite
where shift + scale x is 0, NaN below.  SpecError for a base of 1, or any other that is not
positive.
Source: Caffe's src/caffe/layers/log_layer.cpp.
"""

from __future__ import annotations

from typing import Any

from ..errors import SpecError
from ..kernels import neuron as kernel
from .base import Array, Context
from .logarithm import log_base
from .neuron import Neuron


class Log(Neuron):
    type = "Log"
    backward_reads = ("bottom0",)

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.log_param
        self._numbers = (param.scale, param.shift, log_base(self, param.base))
        if param.base == 1:
            raise SpecError(
                f"{self.label} has base 1, to which there is no logarithm", where=context.where
            )

    def function(self, x: Array, y: Array) -> None:
        kernel.logarithm(x, y, *self._numbers)

    def gradient(self, known: Array, dy: Array, dx: Array) -> None:
        kernel.logarithm_gradient(known, dy, dx, *self._numbers, self.scratch)
