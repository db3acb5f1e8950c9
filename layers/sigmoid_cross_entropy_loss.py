"""SigmoidCrossEntropyLoss: each element a yes-or-no question of its own.

    loss = -sum t log(p) + (1 - t) log(1 - p) / normalizer,   p = sigmoid(x)
    dx = dloss (p - t) / normalizer                           0 where t is ignored

    x, t (n, ...), t in [0, 1]      t == loss_param.ignore_label (cut to an integer): not counted

normalizer: n, or as loss_param says, every element a place (layers/normalization.py).
Source: Caffe's src/caffe/layers/sigmoid_cross_entropy_loss_layer.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..errors import ShapeError
from ..kernels import sigmoid as kernel
from ..kernels.labels import count_valid
from .base import Array, Blob, Context, Layer, Shape, Shapes
from .normalization import Normalization
from .sizes import times


class SigmoidCrossEntropyLoss(Layer):
    type = "SigmoidCrossEntropyLoss"
    bottoms = 2
    is_loss = True
    no_gradient = frozenset({1})
    backward_reads = ("bottom0", "bottom1")

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._normalization = Normalization(spec.loss_param, default="BATCH_SIZE")
        self._ignore = self._normalization.ignore

    def shapes(self, *bottom: Shape) -> Shapes:
        x, target = bottom
        if not x or not target or x[0] != target[0] or math.prod(x) != math.prod(target):
            raise ShapeError(
                f"{self.label} wants a target for every score",
                where=self.context.where,
                expected=f"'{self.spec.bottom[1]}' like '{self.spec.bottom[0]}', {times(x)}",
                found=times(target),
            )
        return Shapes(((),), scratch=self.context.strip(math.prod(x)))

    def _normalizer(self, target: Array) -> float:
        valid = count_valid(target, self._ignore)
        return self._normalization.divisor(len(target), target.size, valid)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, target = bottom[0].data, bottom[1].data
        total = kernel.cross_entropy(x, target, self._ignore, self.scratch)
        top[0].data[...] = total / self._normalizer(target)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0]:
            x, target = bottom[0].data, bottom[1].data
            scale, dx = float(top[0].diff) / self._normalizer(target), bottom[0].diff
            kernel.cross_entropy_gradient(x, target, self._ignore, scale, dx, self.scratch)
