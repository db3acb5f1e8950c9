"""SoftmaxWithLoss: how improbable the true classes are, as the scores have it.

    p = softmax(x)      loss = sum_i w_i (-log p_i[l_i]) / n      dx_i = dloss w_i (p_i - e_l) / n

    x (N, C, ..) scores, classes on softmax_param.axis (1); l (N, ..) one label for each place
    n: sum_i w_i, or as loss_param says (layers/normalization.py)

w is 1, or 0 where the label is ignore_label, or given by a third bottom: the weight map of the
U-Net paper, Freiburg's addition.  There n is the exact sum of weights, forward and backward
(caffe_unet cuts it to an integer, in one direction only).

Errors: ShapeError for labels of another number, DataError for a label that is no class or a weight
that is negative or not finite; GraphError
for a second top: BVLC documents one but cannot build it, and Softmax gives the same blob.
Source: Caffe's src/caffe/layers/softmax_loss_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ..errors import GraphError
from .axes import axis_of, outer_classes_inner
from .base import Array, Blob, Buffer, Context, Layer, Shape, Shapes
from .class_labels import check_classes, check_count, check_weights
from .normalization import Normalization


class SoftmaxWithLoss(Layer):
    type = "SoftmaxWithLoss"
    records = True
    bottoms = (2, 3)
    is_loss = True
    no_gradient = frozenset({1, 2})

    def __init__(self, spec: Any, context: Context) -> None:
        if len(spec.top) > 1:
            raise GraphError(
                f"layer '{spec.name}' (SoftmaxWithLoss) has a second top, '{spec.top[1]}', for the "
                "probabilities, which no Caffe could build",
                where=context.where,
                remedy=f"Add a Softmax layer with bottom '{''.join(spec.bottom[:1])}'",
            )
        super().__init__(spec, context)
        self._normalization = Normalization(spec.loss_param)
        self._ignore = self._normalization.ignore
        self._axis = int(spec.softmax_param.axis)
        self.any_layout = self._axis == 1
        self._said = False  # that a batch taught nothing: once, for there may be many
        self._nothing = (
            f"warning: {self.label}: no place of this batch counts (each is ignored or has "
            "weight 0), so nothing is learned from it; said once"
        )
        self.backward_reads = tuple(f"bottom{i}" for i in range(1, len(spec.bottom)))

    def shapes(self, *bottom: Shape) -> Shapes:
        scores, names = bottom[0], self.spec.bottom
        axis = axis_of(self, self._axis, scores)
        for what, name, shape in zip(("label", "weight"), names[1:], bottom[1:], strict=False):
            check_count(self, what, name, scores, shape, axis)
        places = prod(scores[:axis] + scores[axis + 1 :])
        return Shapes(((),), saved=(Buffer(scores), Buffer((), "float64")), scratch=places)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self.context.device.looks:  # else what is illegal makes the loss NaN
            check_classes(self, bottom[1].data, bottom[0].shape[self._axis], self._ignore)
            if len(bottom) > 2:
                check_weights(self, bottom[2].data)
        prob = self._classes(self.saved[0])
        weight = self.context.device.softmax_loss.forward(
            self._classes(bottom[0].data),
            prob,
            *self._truth(bottom),
            self._normalization.constant(len(prob), prob.size // prob.shape[1]),
            top[0].data,
            self.saved[1],
            self.scratch,
        )
        self.remarks = (self._nothing,) if weight == 0 and not self._said else ()
        self._said |= weight == 0

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0]:
            prob, dx = self._classes(self.saved[0]), self._classes(bottom[0].diff)
            self.context.device.softmax_loss.gradient(
                prob, *self._truth(bottom), self.saved[1], top[0].diff, dx, self.scratch
            )

    def _truth(self, bottom: Sequence[Blob]) -> tuple[Array, Array, int | None]:
        """Labels, weights or None, and the label to be ignored or None."""
        return bottom[1].data, bottom[2].data if len(bottom) > 2 else None, self._ignore

    def _classes(self, x: Array) -> Array:
        return outer_classes_inner(x, self._axis)
