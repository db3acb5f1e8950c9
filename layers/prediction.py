"""What the per-class metrics (IoU, F1) share: scores, labels and what counts.

    scores (.., C, *S), classes on `axis` (1); labels (.., *S) or (.., 1, *S), one for each place;
    a third bottom of the labels' shape: places with weight 0 do not count
    top (C - 1,): one value for each class but the background

Labels equal to loss_param.ignore_label do not count either.  The prediction is the first of the
best scores.  No gradient.  ShapeError for another number of labels or weights, DataError for a
label that is no class.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..errors import SpecError
from .axes import axis_of
from .base import Array, Blob, Context, Shape, Shapes
from .class_labels import check_classes, check_count, ignored
from .without_gradient import WithoutGradient


class Prediction(WithoutGradient):
    """`param`: the layer's message."""

    bottoms = (2, 3)

    def __init__(self, spec: Any, context: Context, field: str) -> None:
        super().__init__(spec, context)
        self.param = getattr(spec, field)
        self._ignore = ignored(spec.loss_param)
        self.background = int(self.param.background_label)

    def shapes(self, *bottom: Shape) -> Shapes:
        scores, names = bottom[0], self.spec.bottom
        axis = axis_of(self, self.param.axis, scores)
        for what, name, shape in zip(("label", "weight"), names[1:], bottom[1:], strict=False):
            check_count(self, what, name, scores, shape, axis)
        if not 0 <= self.background < scores[axis] or scores[axis] < 2:
            raise SpecError(
                f"{self.label}: background_label is no class of '{names[0]}'",
                where=self.context.where,
                expected=f"0 to {scores[axis] - 1}, of 2 classes or more",
                found=self.background,
            )
        return Shapes(((scores[axis] - 1,),))

    def counted(self, bottom: Sequence[Blob]) -> tuple[Array, Array, Array, Array]:
        """Scores (items, C, *S); labels, predictions and what counts (items, *S)."""
        x = bottom[0].data
        axis = self.param.axis % x.ndim
        items, classes, size = prod(x.shape[:axis]), x.shape[axis], x.shape[axis + 1 :]
        check_classes(self, bottom[1].data, classes, self._ignore)
        labels = bottom[1].data.reshape(items, *size).astype(np.int64)
        counts = np.ones(labels.shape, bool)
        if self._ignore is not None:
            counts &= labels != self._ignore
        if len(bottom) > 2:
            counts &= bottom[2].data.reshape(labels.shape) != 0
        scores = x.reshape(items, classes, *size)
        return scores, labels, scores.argmax(1), counts

    def remark(self, what: str, values: Array) -> str:
        """One of caffe_unet's lines, read by the Fiji plugin."""
        return f"{self.name} - Per class {what}: " + "".join(f"{v:g} " for v in values)
