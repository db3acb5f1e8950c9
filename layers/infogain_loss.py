"""InfogainLoss: the softmax loss with a matrix that says how bad which mistake is.

    p = softmax(x)      loss = sum_i sum_c -H[l_i, c] log max(p_i[c], 1e-20) / n
    dx_i[c] = dloss (p_i[c] sum_k H[l_i, k] - H[l_i, c]) / n          0 where l_i is ignore_label

    x (N, C, ..) scores, classes on `axis` (1); l (N, ..) one label for each place
    H: C x C numbers, true classes in rows, from the third bottom or the .binaryproto file `source`
    n: the labels that count, or as loss_param says (layers/normalization.py)

H = identity gives SoftmaxWithLoss.  A second top shows p; no gradient comes from there.  `source`
is relative to the folder the net was given.

Errors: SpecError without H, for a file that is no array, or for the old `normalize`; ShapeError for
an H or labels of another size; DataError for a label that is no class.
Source: Caffe's src/caffe/layers/infogain_loss_layer.cpp.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..data.blobproto import read_blob
from ..errors import ShapeError, SpecError
from ..kernels import log_loss as kernel
from ..kernels.labels import count_valid
from .axes import axis_of, outer_classes_inner
from .base import Array, Blob, Buffer, Context, Layer, Shape, Shapes
from .class_labels import check_classes, check_count
from .normalization import Normalization
from .sizes import times


class InfogainLoss(Layer):
    type = "InfogainLoss"
    bottoms = (2, 3)
    tops = (1, 2)
    is_loss = True
    no_gradient = frozenset({1, 2})

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        if spec.loss_param.HasField("normalize"):
            raise SpecError(
                f"{self.label} does not know loss_param's old 'normalize'",
                where=context.where,
                remedy="Use normalization: VALID for true, BATCH_SIZE for false",
            )
        self._normalization = Normalization(spec.loss_param)
        self._axis, self._h = int(spec.infogain_loss_param.axis), None
        if len(spec.bottom) == 2:
            self._h = self._read(spec.infogain_loss_param.source)
        self.backward_reads = tuple(f"bottom{i}" for i in range(1, len(spec.bottom)))

    def _read(self, source: str) -> Array:
        if not source:
            raise SpecError(
                f"{self.label} has no infogain matrix",
                where=self.context.where,
                remedy="Give it as a third bottom, or name a file: "
                'infogain_loss_param { source: "infogain.binaryproto" }',
            )
        array = read_blob(os.path.join(self.context.folder, source))
        return np.asarray(array, self.context.dtype)

    def shapes(self, *bottom: Shape) -> Shapes:
        scores = bottom[0]
        axis = axis_of(self, self._axis, scores)
        check_count(self, "label", self.spec.bottom[1], scores, bottom[1], axis)
        h = bottom[2] if self._h is None else self._h.shape
        if prod(h) != scores[axis] ** 2:
            source = self.spec.infogain_loss_param.source
            raise ShapeError(
                f"{self.label} wants an infogain matrix for {scores[axis]} classes",
                where=self.context.where,
                expected=f"{scores[axis]}x{scores[axis]}",
                found=f"{times(h)} in '{source if len(bottom) == 2 else self.spec.bottom[2]}'",
            )
        places = prod(scores[:axis] + scores[axis + 1 :])
        tops: tuple[Shape, ...] = ((), scores)
        made = max(1, len(self.spec.top))
        return Shapes(tops[:made], saved=(Buffer(scores),), scratch=places)

    def _truth(self, bottom: Sequence[Blob]) -> tuple[Array, Array, int | None]:
        """Labels, H, and the label to be ignored or None."""
        c = bottom[0].shape[self._axis]
        h = bottom[2].data if self._h is None else self._h
        return bottom[1].data, h.reshape(c, c), self._normalization.ignore

    def _divisor(self, p: Array, labels: Array, ignore: int | None) -> float:
        outer, _, inner = p.shape
        valid = count_valid(labels, ignore)
        return self._normalization.divisor(outer, outer * inner, valid)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        labels, h, ignore = self._truth(bottom)
        check_classes(self, labels, len(h), ignore)
        p = self._classes(self.saved[0])
        self.context.device.softmax.softmax(self._classes(bottom[0].data), p, self.scratch)
        total = kernel.infogain(p, labels, h, ignore)
        top[0].data[...] = total / self._divisor(p, labels, ignore)
        if len(top) == 2:
            np.copyto(top[1].data, self.saved[0])

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0]:
            labels, h, ignore = self._truth(bottom)
            p, dx = self._classes(self.saved[0]), self._classes(bottom[0].diff)
            scale = float(top[0].diff) / self._divisor(p, labels, ignore)
            kernel.infogain_gradient(p, labels, h, ignore, scale, dx)

    def _classes(self, x: Array) -> Array:
        return outer_classes_inner(x, self._axis)
