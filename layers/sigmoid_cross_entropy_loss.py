"""SigmoidCrossEntropyLoss: each element a yes-or-no question of its own.

    loss = -sum t log(p) + (1 - t) log(1 - p) / normalizer,   p = sigmoid(x)
    dx = dloss (p - t) / normalizer                           0 where t is ignored

    x, t (n, ...), t in [0, 1]      t == loss_param.ignore_label (cut to an integer): not counted

normalizer, at least 1: BATCH_SIZE n (the default, unlike SoftmaxWithLoss), FULL all elements, VALID
those not ignored, NONE 1.  The older `normalize` means VALID, or BATCH_SIZE where false.
Source: Caffe's src/caffe/layers/sigmoid_cross_entropy_loss_layer.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..errors import ShapeError
from ..kernels import sigmoid as kernel
from ..kernels.strips import length
from .base import Array, Blob, Context, Layer, Shape, Shapes
from .sizes import times


class SigmoidCrossEntropyLoss(Layer):
    type = "SigmoidCrossEntropyLoss"
    bottoms = 2
    is_loss = True
    no_gradient = frozenset({1})
    backward_reads = ("bottom0", "bottom1")

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.loss_param
        self._ignore = int(param.ignore_label) if param.HasField("ignore_label") else None
        if param.HasField("normalization"):
            self._normalization = param.normalization
        else:
            valid = param.HasField("normalize") and param.normalize
            self._normalization = param.VALID if valid else param.BATCH_SIZE

    def shapes(self, *bottom: Shape) -> Shapes:
        x, target = bottom
        if not x or not target or x[0] != target[0] or math.prod(x) != math.prod(target):
            raise ShapeError(
                f"{self.label} wants a target for every score",
                where=self.context.where,
                expected=f"'{self.spec.bottom[1]}' like '{self.spec.bottom[0]}', {times(x)}",
                found=times(target),
            )
        return Shapes(((),), scratch=length(math.prod(x)))

    def _normalizer(self, target: Array) -> int:
        param, count = self.spec.loss_param, 1  # NONE
        if self._normalization == param.FULL:
            count = target.size
        elif self._normalization == param.VALID:
            count = kernel.count_valid(target, self._ignore)
        elif self._normalization == param.BATCH_SIZE:
            count = len(target)
        return max(1, count)

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
