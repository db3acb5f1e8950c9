"""Filter: only the selected items of a batch.

    y_k = the items j of x_k with s_j != 0        dx_k[j] = dy of item j, or 0 where s_j = 0

    x_k (N, ...), s (N, 1, 1, ..) -> y_k (M, ...);  M: how many are selected

The last bottom is the selector s, which gets no gradient; each other one has its top.  M changes
from pass to pass, and is planned as N.  Where nothing is selected the tops are empty and dx is 0
(Caffe's backward divides by zero there).  ShapeError where a bottom is no batch of N items.

Source: Caffe's src/caffe/layers/filter_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import GraphError, ShapeError
from ..kernels import rows
from .base import Array, Blob, Context, Layer, Shape, Shapes
from .sizes import times


class Filter(Layer):
    type = "Filter"
    runs_ahead = False
    bottoms = (2, None)
    tops = (1, None)
    reshapes = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        filtered = len(spec.bottom) - 1
        self.no_gradient = frozenset({filtered})
        self.backward_reads = (f"bottom{filtered}",)
        if len(spec.top) != filtered:
            raise GraphError(
                f"{self.label} needs a top for each bottom but the last, its selector",
                where=context.where,
                expected=f"{filtered} tops",
                found=len(spec.top),
            )

    def shapes(self, *bottom: Shape) -> Shapes:
        *xs, selector = bottom
        if not selector or any(size != 1 for size in selector[1:]):
            raise ShapeError(
                f"{self.label} needs one number for each item in its selector, its last bottom",
                where=self.context.where,
                expected="sizes 1 on all axes but the first",
                found=f"'{self.spec.bottom[-1]}' of shape {times(selector)}",
            )
        for name, x in zip(self.spec.bottom, xs, strict=False):
            if x[:1] != selector[:1]:
                raise ShapeError(
                    f"{self.label} cannot select items of '{name}' ({times(x)})",
                    where=self.context.where,
                    expected=f"{selector[0]} items, as its selector '{self.spec.bottom[-1]}' has",
                    found=x[0] if x else "no axis",
                )
        return Shapes(tuple(xs))

    def reshape(self, bottom: Sequence[Blob]) -> Shapes:
        most = self.shapes(*(blob.shape for blob in bottom))
        selected = int(np.count_nonzero(bottom[-1].data))
        return Shapes(tuple((selected, *shape[1:]) for shape in most.tops))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        index = _selected(bottom)
        for x, y in zip(bottom, top, strict=False):
            rows.take(x.data, index, y.data)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        index = _selected(bottom)
        for x, y, down in zip(bottom, top, propagate_down, strict=False):
            if down:
                rows.give_back(y.diff, index, x.diff)


def _selected(bottom: Sequence[Blob]) -> Array:
    return np.nonzero(bottom[-1].data.reshape(-1))[0]
