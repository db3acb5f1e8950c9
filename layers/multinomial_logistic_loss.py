"""MultinomialLogisticLoss: how improbable the true classes are, given probabilities.

    loss = sum_i -log q_i[l_i] / n          dp_i[c] = -dloss [c = l_i] / (n q_i[c])
    q = max(p, 1e-20)

    p (n, ...): all elements of an item are classes         l: n labels

SoftmaxWithLoss does the same to scores, and does it more stably.  ShapeError for another number of
labels, DataError for a label that is no class.
Source: Caffe's src/caffe/layers/multinomial_logistic_loss_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ..kernels import log_loss as kernel
from .base import Array, Blob, Layer, Shape, Shapes
from .class_labels import check_classes, check_items
from .normalization import rows


class MultinomialLogisticLoss(Layer):
    type = "MultinomialLogisticLoss"
    bottoms = 2
    is_loss = True
    no_gradient = frozenset({1})
    backward_reads = ("bottom0", "bottom1")

    def shapes(self, *bottom: Shape) -> Shapes:
        check_items(self, *bottom)
        return Shapes(((),))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        p, labels = _classes(bottom[0].data), bottom[1].data
        check_classes(self, labels, p.shape[1], None)
        top[0].data[...] = kernel.multinomial(p, labels) / rows(len(p))

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0]:
            p, dp = _classes(bottom[0].data), _classes(bottom[0].diff)
            scale = float(top[0].diff) / rows(len(p))
            kernel.multinomial_gradient(p, bottom[1].data, scale, dp)


def _classes(p: Array) -> Array:
    """(n, classes, 1)."""
    return p.reshape(len(p), prod(p.shape[1:]), 1)
