"""ContrastiveLoss: rows that belong together shall be near, others a margin apart.

    d_i^2 = |a_i - b_i|^2        loss = sum_i l_i / (2 n)
    l_i = d_i^2 where the pair is similar, else max(margin - d_i, 0)^2
          with legacy_version              else max(margin - d_i^2, 0)
    da_i = dloss f_i (a_i - b_i) / n     db = -da       (f_i: kernels/contrastive.py)

    a, b (n, c), perhaps with up to two more axes of size 1      similar: n numbers, 0 for "not"

Both operands get a gradient, the third bottom none.  ShapeError where sizes differ.
Source: Caffe's src/caffe/layers/contrastive_loss_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ..errors import ShapeError
from ..kernels import contrastive as kernel
from ..kernels.strips import rows as strip
from .base import Array, Blob, Buffer, Layer, Shape, Shapes
from .normalization import rows
from .sizes import times


class ContrastiveLoss(Layer):
    type = "ContrastiveLoss"
    bottoms = 3
    is_loss = True
    no_gradient = frozenset({2})
    backward_reads = ("bottom*",)

    def shapes(self, *bottom: Shape) -> Shapes:
        a, b, similar = bottom
        names = self.spec.bottom
        for name, shape in zip(names, (a, b), strict=False):
            if not 1 <= len(shape) <= 4 or prod(shape[2:]) != 1:
                raise ShapeError(
                    f"{self.label} compares rows of features",
                    where=self.context.where,
                    expected=f"'{name}' of shape n x c or n x c x 1 x 1",
                    found=times(shape),
                    remedy="A Flatten layer makes rows of maps",
                )
        if a[0] != b[0] or prod(a) != prod(b):
            raise ShapeError(
                f"{self.label} compares blobs that differ in size",
                where=self.context.where,
                expected=f"'{names[1]}' like '{names[0]}', {times(a)}",
                found=times(b),
            )
        if similar[:1] != a[:1] or prod(similar) != a[0] or len(similar) > 4:
            raise ShapeError(
                f"{self.label} wants one number for each pair, whether it is similar",
                where=self.context.where,
                expected=f"{a[0]} in '{names[2]}'",
                found=times(similar),
            )
        c = prod(a[1:])
        scratch = min(a[0], strip(c)) * c
        return Shapes(((),), saved=(Buffer((a[0],)),), scratch=scratch)

    def _arrays(self, bottom: Sequence[Blob]) -> tuple[Array, Array, Array, float, bool]:
        a, b, similar = (blob.data for blob in bottom)
        param, n = self.spec.contrastive_loss_param, len(a)
        matrix = (n, prod(a.shape[1:]))
        a, b = a.reshape(matrix), b.reshape(matrix)
        return a, b, similar.reshape(n), float(param.margin), bool(param.legacy_version)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        a, b, similar, margin, legacy = self._arrays(bottom)
        squared = self.saved[0]
        kernel.squared_distance(a, b, squared, self.scratch)
        top[0].data[...] = kernel.loss(squared, similar, margin, legacy) / (2 * rows(len(a)))

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        a, b, similar, margin, legacy = self._arrays(bottom)
        squared, scale = self.saved[0], float(top[0].diff) / rows(len(a))
        for i, (x, other) in enumerate(((a, b), (b, a))):
            if propagate_down[i]:
                dx = bottom[i].diff.reshape(x.shape)
                kernel.gradient(x, other, squared, similar, margin, legacy, scale, dx)
