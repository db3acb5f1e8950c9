"""BatchReindex: items of a batch picked, put in another order, or repeated.

    y_n = x_{i_n}                                 dx_j = sum of dy_n with i_n = j

    x (N, ...), i (M,) -> y (M, ...);  i is cut to integers and gets no gradient

ShapeError where i has not one axis, DataError for an index outside of [0, N).
Source: Caffe's src/caffe/layers/batch_reindex_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import DataError, ShapeError
from ..kernels import rows
from .axes import axis_of
from .base import Array, Blob, Layer, Shape, Shapes
from .sizes import times


class BatchReindex(Layer):
    type = "BatchReindex"
    bottoms = 2
    no_gradient = frozenset({1})
    backward_reads = ("bottom1",)

    def shapes(self, *bottom: Shape) -> Shapes:
        x, index = bottom
        axis_of(self, 0, x)
        if len(index) != 1:
            raise ShapeError(
                f"{self.label} needs a list of indices as its second bottom",
                where=self.context.where,
                expected="one axis",
                found=f"'{self.spec.bottom[1]}' of shape {times(index)}",
            )
        return Shapes(((index[0], *x[1:]),))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        index, n = bottom[1].data, bottom[0].shape[0]
        wrong = index[~((index >= 0) & (index < n))]
        if wrong.size:
            raise DataError(
                f"{self.label} gets an index that is no item of '{self.spec.bottom[0]}'",
                where=self.context.where,
                expected=f"0 to {n - 1}",
                found=f"{wrong[0]:g}",
            )
        rows.take(bottom[0].data, _integers(index), top[0].data)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0]:
            rows.give_back(top[0].diff, _integers(bottom[1].data), bottom[0].diff)


def _integers(index: Array) -> Array:
    return index.astype(np.intp)
