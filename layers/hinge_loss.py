"""HingeLoss: how far the scores are from separating the true class, as in a support vector machine.

    m_i[c] = max(0, 1 + s x_i[c]),   s = -1 of the true class c = l_i, else 1
    L1 (default)   loss = sum m / n            dx = dloss s sign(m) / n
    L2             loss = sum m^2 / n          dx = 2 dloss s m / n

    x (n, ...): all elements of an item are classes         l: n labels

ShapeError for another number of labels, DataError for a label that is no class.
Source: Caffe's src/caffe/layers/hinge_loss_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ..kernels import hinge as kernel
from ..kernels.strips import rows as strip
from .base import Array, Blob, Context, Layer, Shape, Shapes
from .class_labels import check_classes, check_items
from .normalization import rows


class HingeLoss(Layer):
    type = "HingeLoss"
    bottoms = 2
    is_loss = True
    no_gradient = frozenset({1})
    backward_reads = ("bottom0", "bottom1")

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._squared = spec.hinge_loss_param.norm == spec.hinge_loss_param.L2

    def shapes(self, *bottom: Shape) -> Shapes:
        check_items(self, *bottom)
        n, c = bottom[0][0], prod(bottom[0][1:])
        return Shapes(((),), scratch=min(n, strip(c)) * c)

    def _arrays(self, bottom: Sequence[Blob]) -> tuple[Array, Array]:
        x, labels = bottom[0].data, bottom[1].data
        return x.reshape(len(x), prod(x.shape[1:])), labels.reshape(-1)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, labels = self._arrays(bottom)
        check_classes(self, bottom[1].data, x.shape[1], None)
        top[0].data[...] = kernel.loss(x, labels, self._squared, self.scratch) / rows(len(x))

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0]:
            x, labels = self._arrays(bottom)
            scale = float(top[0].diff) / rows(len(x))
            dx = bottom[0].diff.reshape(x.shape)
            kernel.gradient(x, labels, self._squared, scale, dx)
