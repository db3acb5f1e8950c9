"""Clip: every element kept between min and max.

    y = max(min, min(x, max))            dx = dy where min <= x <= max, else 0

Any shape; may work in place.  NaN becomes min.  SpecError without a clip_param: Caffe takes a
missing one as 0 and 0.  Source: Caffe's src/caffe/layers/clip_layer.cpp.
"""

from __future__ import annotations

from typing import Any

from ..errors import SpecError
from ..kernels import neuron as kernel
from .base import Array, Context
from .neuron import Neuron


class Clip(Neuron):
    type = "Clip"
    backward_reads = ("bottom0",)

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.clip_param
        self._range = (param.min, param.max)
        if not spec.HasField("clip_param"):
            raise SpecError(
                f"{self.label} does not say between which values",
                where=context.where,
                expected="clip_param { min: 0 max: 1 } or the like",
            )

    def function(self, x: Array, y: Array) -> None:
        kernel.clip(x, y, *self._range)

    def gradient(self, known: Array, dy: Array, dx: Array) -> None:
        kernel.clip_gradient(known, dy, dx, *self._range, self.scratch)
