"""F1: how many objects of each class are found, and how many of those found are there.

    y_c = 2 TP_c / (predicted_c + labelled_c)            0 where there are neither

Objects are connected components of one class, across faces (kernels/objects.py).  A labelled and a
predicted object match where they are paired with the least total distance, at most
distance_threshold, and have the same class; the distance is

    IOU          1 - intersection over union (segmentation)
    EUCLIDEAN    between the centres, in voxels; a predicted object's weighted with its softmax
                 (detection)

One value for each class but the background; bottoms and what counts: layers/prediction.py; what
does not count is only taken out of the labels.  Every item counts, also one without any labelled or
any predicted object, which caffe_unet leaves out of all counts.  After each forward pass `remarks`
has the three counts, in caffe_unet's words.  Source: caffe_unet's src/caffe/layers/f1_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..kernels import objects as kernel
from .axes import axis_of
from .base import Array, Blob, Context, Shape, Shapes
from .prediction import Prediction
from .sizes import times


class F1(Prediction):
    type = "F1"
    on_host = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context, "f1_param")
        self._overlap = self.param.distance_mode == self.param.IOU
        self._threshold = float(self.param.distance_threshold)

    def shapes(self, *bottom: Shape) -> Shapes:
        if axis_of(self, self.param.axis, bottom[0]) == len(bottom[0]) - 1:
            raise ShapeError(
                f"{self.label} finds no image axes behind the classes of '{self.spec.bottom[0]}'",
                where=self.context.where,
                found=f"shape {times(bottom[0])}",
            )
        return super().shapes(*bottom)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        items = self.counted(bottom)
        counts = sum(self._count(*item) for item in zip(*items, strict=True))
        true, predicted, labelled = np.delete(counts, self.background, axis=1)
        top[0].data[...] = 2 * true / np.maximum(1, predicted + labelled)
        self.remarks = (
            self.remark("true positive count", true),
            self.remark("prediction count", predicted),
            self.remark("object count", labelled),
        )

    def _count(self, scores: Array, labels: Array, predicted: Array, counts: Array) -> Array:
        """(3, C): matches, predicted and labelled objects of one item."""
        classes, everywhere = len(scores), np.ones(labels.shape, bool)
        a, a_kinds = kernel.instances(labels, counts, self.background, classes)
        b, b_kinds = kernel.instances(predicted, everywhere, self.background, classes)
        n, m = len(a_kinds), len(b_kinds)
        if self._overlap:
            distance = 1 - kernel.overlaps(a, b, n, m)
        else:
            exp = np.exp(scores - scores.max(0))
            best = exp.max(0) / exp.sum(0)  # the softmax of the predicted class
            first, second = kernel.centres(a, n, everywhere), kernel.centres(b, m, best)
            distance = np.sqrt(((first[:, None] - second[None]) ** 2).sum(-1))
        i, j = kernel.matched(distance, self._threshold).T
        hits = a_kinds[i][a_kinds[i] == b_kinds[j]]
        return np.stack(
            [np.bincount(kinds, minlength=classes) for kinds in (hits, b_kinds, a_kinds)]
        )
