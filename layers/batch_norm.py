"""BatchNorm: every channel brought to mean 0 and variance 1.

    y = (x - mean) / std,  std = sqrt(variance + eps)            x (n, c, ...)

    statistics of the batch      dx = (dy - mean(dy) - y mean(dy y)) / std
    stored statistics            dx = dy / std

By default a TRAIN net uses the batch's statistics and stores them, a TEST net uses the stored ones;
`use_global_stats` says otherwise.  Three parameters, none of them learned:

    [0] (c,) sum of means      [1] (c,) sum of variances, each times m / (m - 1)      [2] (1,) their
    weight; each forward pass over a batch of m values a channel multiplies them by
    moving_average_fraction and adds what it found, and 1.  mean = [0] / [2], or 0 where [2] is 0.

No scale and no shift: that is the Scale layer.  May work in place.
Source: Caffe's src/caffe/layers/batch_norm_layer.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError, SpecError
from ..kernels import channels as kernel
from ..netspec import schema
from .base import Blob, Buffer, Context, Layer, Shape, Shapes


class BatchNorm(Layer):
    type = "BatchNorm"
    records = True
    in_place = True
    learns = False

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.batch_norm_param
        self._stored = context.phase == "TEST"
        if param.HasField("use_global_stats"):
            self._stored = bool(param.use_global_stats)
        self._eps, self._fraction = param.eps, param.moving_average_fraction
        self.backward_reads = () if self._stored else ("top0",)
        if any(p.HasField("lr_mult") and p.lr_mult != 0 for p in spec.param):
            raise SpecError(
                f"{self.label} has parameters that are measured, not learned",
                where=context.where,
                expected="lr_mult: 0 in all its param entries, or none",
                found=", ".join(f"lr_mult: {p.lr_mult:g}" for p in spec.param),
            )

    def shapes(self, *bottom: Shape) -> Shapes:
        if not bottom[0]:
            raise ShapeError(
                f"{self.label} wants a batch", where=self.context.where, found="one number"
            )
        _, channels, inner = _view(bottom[0])
        return Shapes(
            (bottom[0],),
            params=((channels,), (channels,), (1,)),
            saved=(Buffer((channels,)),),
            scratch=0 if self._stored else channels * inner,
        )

    def fillers(self) -> Sequence[Any]:
        return (schema.FillerParameter(),) * 3  # constant 0

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        view = _view(bottom[0].shape)
        x, y, std = bottom[0].data.reshape(view), top[0].data.reshape(view), self.saved[0]
        mean_sum, variance_sum, weight = (blob.data for blob in self.blobs)
        if self._stored:
            measured = weight != 0
            factor = measured / (weight + ~measured)  # 1 / weight, or 0
            np.sqrt(variance_sum * factor + self._eps, out=std)
            np.subtract(x, kernel.column(mean_sum * factor), out=y)
            y /= kernel.column(std)
            return
        mean, variance, std[...] = kernel.normalize(x, y, self._eps)
        m = x.size / x.shape[1]
        for stored, found in (
            (mean_sum, mean),
            (variance_sum, variance * (m / (m - 1) if m > 1 else 1)),
            (weight, 1),
        ):
            stored *= self._fraction
            stored += found

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if not propagate_down[0]:
            return
        view, std = _view(bottom[0].shape), self.saved[0]
        dy, dx = top[0].diff.reshape(view), bottom[0].diff.reshape(view)
        if self._stored:
            np.divide(dy, kernel.column(std), out=dx)
        else:
            kernel.normalize_gradient(top[0].data.reshape(view), dy, std, dx, self.scratch)


def _view(shape: Shape) -> tuple[int, int, int]:
    """(outer, channels, inner); a blob of one axis is one channel."""
    return (shape[0], shape[1], math.prod(shape[2:])) if len(shape) > 1 else (shape[0], 1, 1)
