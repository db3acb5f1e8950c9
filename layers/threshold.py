"""Threshold: 1 where an element is above the threshold, else 0.

    y = 1 where x > threshold, else 0

Any shape; may work in place.  There is no gradient: GraphError where one is asked for.
Source: Caffe's src/caffe/layers/threshold_layer.cpp.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import GraphError
from .base import Array, Context
from .neuron import Neuron


class Threshold(Neuron):
    type = "Threshold"

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._threshold = spec.threshold_param.threshold

    def function(self, x: Array, y: Array) -> None:
        np.greater(x, self._threshold, out=y)

    def gradient(self, known: Array, dy: Array, dx: Array) -> None:
        raise GraphError(
            f"{self.label} has no gradient, but its bottom '{self.spec.bottom[0]}' wants one",
            where=self.context.where,
            remedy="If nothing below it has to learn through it, say propagate_down: false",
        )
