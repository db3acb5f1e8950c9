"""Dropout: in TRAIN a random part of the elements is set to 0 and the rest scaled up.

    TRAIN   y = x m / (1 - ratio),  m ~ Bernoulli(1 - ratio)          dx = dy m / (1 - ratio)
    TEST    y = x                                                     dx = dy

Any shape; may work in place.  Pass k of a layer always draws the same mask, from its own stream, so
a resumed run goes on exactly.

SpecError for a ratio outside [0, 1).  Source: Caffe's src/caffe/layers/dropout_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from ..errors import SpecError
from .base import Array, Blob, Buffer, Context, Layer, Shape, Shapes
from .stream import words


class Dropout(Layer):
    type = "Dropout"
    records = True
    any_layout = True
    in_place = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        ratio = float(np.float32(spec.dropout_param.dropout_ratio))
        self._keep, self._forwards = 1 - ratio, 0
        if not 0 <= ratio < 1:
            raise SpecError(
                f"{self.label} has an impossible dropout_ratio",
                where=context.where,
                expected="0 or more, and below 1",
                found=f"{ratio:g}",
            )

    @property
    def _drops(self) -> bool:
        return self.context.phase == "TRAIN"

    def shapes(self, *bottom: Shape) -> Shapes:
        if not self._drops:
            return Shapes((bottom[0],))
        saved = Buffer(bottom[0], "uint8"), Buffer((6,), "uint64")  # the mask, its stream
        return Shapes((bottom[0],), saved=saved, scratch=self.context.strip(prod(bottom[0])))

    def begin(self) -> None:
        if self._drops:
            self.context.device.write(self.saved[1], words(self.context, self._forwards))
            self._forwards += 1

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self._drops:
            if not self.context.device.recording:
                self.begin()
            self.context.device.dropout.draw(self.saved[0], self._keep, self.saved[1])
        self._apply(bottom[0].data, top[0].data)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0]:
            self._apply(top[0].diff, bottom[0].diff)

    def _apply(self, x: Array, y: Array) -> None:
        if self._drops:
            kernel = self.context.device.dropout
            kernel.apply(x, self.saved[0], 1 / self._keep, y, self.scratch)
        elif y is not x:
            y[...] = x

    def state(self) -> Mapping[str, Any]:
        return {"forwards": self._forwards} if self._drops else {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._forwards = int(state.get("forwards", 0))
