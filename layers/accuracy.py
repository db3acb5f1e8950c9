"""Accuracy: the part of the labels whose class has one of the top_k best scores.

    y = #correct / #labels            second top: the same for each class, (C,)

    x (N, C, ..) scores, classes on `axis` (1); labels (N, ..): one for each place

Labels equal to ignore_label do not count; 0 where nothing counts.  Equal scores count against the
true class.  There is no gradient.  ShapeError for another number of labels or top_k > C, DataError
for a label that is no class.  Source: Caffe's src/caffe/layers/accuracy_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..kernels import accuracy as kernel
from .axes import axis_of, outer_classes_inner
from .base import Blob, Context, Shape, Shapes
from .class_labels import check_classes, check_count, ignored
from .without_gradient import WithoutGradient


class Accuracy(WithoutGradient):
    type = "Accuracy"
    bottoms = 2
    tops = (1, 2)

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.accuracy_param
        self._top_k, self._axis = int(param.top_k), int(param.axis)
        self._ignore = ignored(param)

    def shapes(self, *bottom: Shape) -> Shapes:
        scores, labels = bottom
        axis = axis_of(self, self._axis, scores)
        check_count(self, "label", self.spec.bottom[1], scores, labels, axis)
        if not 1 <= self._top_k <= scores[axis]:
            raise ShapeError(
                f"{self.label} cannot look at the {self._top_k} best of {scores[axis]} classes",
                where=self.context.where,
                expected=f"top_k from 1 to {scores[axis]}",
            )
        tops: tuple[Shape, ...] = ((), (scores[axis],))
        places = prod(scores[:axis] + scores[axis + 1 :])
        return Shapes(tops[: len(self.spec.top)], scratch=2 * places)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, labels = outer_classes_inner(bottom[0].data, self._axis), bottom[1].data
        check_classes(self, labels, x.shape[1], self._ignore)
        named, correct = kernel.count(x, labels, self._ignore, self._top_k, self.scratch)
        top[0].data[...] = correct.sum() / max(1, named.sum())
        if len(top) == 2:
            top[1].data[...] = correct / np.maximum(1, named)
