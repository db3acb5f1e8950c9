"""EuclideanLoss: half the mean squared distance.

    loss = sum (a - b)^2 / (2 n)                     da = dloss (a - b) / n           db = -da

    a, b (n, ...), with the same number of elements in each of the n rows

With a third bottom, Freiburg's addition, every pixel has a weight:

    loss = sum w (a - b)^2 / (2 c max(1, sum w))     da = dloss w (a - b) / (c max(1, sum w))

    a, b (n, c, ...)      w: one number for each pixel, as (n, 1, ...) or (n, ...)

Both operands get a gradient, the weights none.
Source: Caffe's and caffe_unet's src/caffe/layers/euclidean_loss_layer.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import ShapeError
from ..kernels import euclidean as kernel
from .base import Array, Blob, Layer, Shape, Shapes
from .normalization import rows
from .sizes import times


class EuclideanLoss(Layer):
    type = "EuclideanLoss"
    bottoms = (2, 3)
    is_loss = True
    no_gradient = frozenset({2})
    backward_reads = ("bottom*",)

    def shapes(self, *bottom: Shape) -> Shapes:
        a, b = bottom[:2]
        if not a or not b or a[0] != b[0] or math.prod(a) != math.prod(b):
            raise ShapeError(
                f"{self.label} compares blobs that differ in size",
                where=self.context.where,
                expected=f"{times(a)} as '{self.spec.bottom[0]}'",
                found=f"{times(b)} as '{self.spec.bottom[1]}'",
            )
        pixels = (a[0], *a[2:])
        if len(bottom) > 2 and bottom[2] not in (pixels, (a[0], 1, *a[2:])):
            raise ShapeError(
                f"{self.label} wants one weight for each pixel",
                where=self.context.where,
                expected=times((a[0], 1, *a[2:])),
                found=f"{times(bottom[2])} as '{self.spec.bottom[2]}'",
            )
        return Shapes(((),), scratch=self.context.strip(math.prod(a)))

    def _arrays(self, bottom: Sequence[Blob]) -> tuple[Array, Array, Array | None, float]:
        """a and b as (n, c, inner), w as (n, inner), and what the sum is divided by."""
        a = bottom[0].data
        shape = (a.shape[0], a.shape[1] if a.ndim > 1 else 1, -1)
        a, b = a.reshape(shape), bottom[1].data.reshape(shape)
        if len(bottom) == 2:
            return a, b, None, rows(len(a))
        w = bottom[2].data.reshape(a.shape[0], -1)
        return a, b, w, a.shape[1] * max(1.0, float(w.sum()))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        a, b, w, normalizer = self._arrays(bottom)
        top[0].data[...] = kernel.squared_distance(a, b, w, self.scratch) / (2 * normalizer)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        a, b, w, normalizer = self._arrays(bottom)
        scale = float(top[0].diff) / normalizer
        if propagate_down[0]:
            kernel.difference(a, b, w, scale, bottom[0].diff.reshape(a.shape))
        if propagate_down[1]:
            kernel.difference(b, a, w, scale, bottom[1].diff.reshape(a.shape))
