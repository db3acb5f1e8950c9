"""IoU: how well each class covers what it should, intersection over union.

    y_c = |predicted c and labelled c| / |predicted c or labelled c|            0 where nobody is

One value for each class but the background; bottoms and what counts: layers/prediction.py.  After
each forward pass `remarks` has the two counts, in caffe_unet's words.
Source: caffe_unet's src/caffe/layers/iou_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .base import Blob, Context
from .prediction import Prediction


class IoU(Prediction):
    type = "IoU"
    on_host = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context, "iou_param")

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        scores, labels, predicted, counts = self.counted(bottom)
        classes = scores.shape[1]
        a, b = labels[counts], predicted[counts]
        both = np.bincount(a[a == b], minlength=classes)
        either = np.bincount(a, minlength=classes) + np.bincount(b, minlength=classes) - both
        both, either = (np.delete(x, self.background) for x in (both, either))
        top[0].data[...] = both / np.maximum(1, either)
        self.remarks = (self.remark("intersection", both), self.remark("union", either))
