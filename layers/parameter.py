"""Parameter: a blob that is learned.

    y = w                                         dw += dy

    no bottom; y, w: `parameter_param.shape`, w starts as 0

In Caffe the top *is* the parameter, data and gradient; so backward runs here even where no loss
asks for it, and a gradient that somebody writes into the top arrives.  Unlike Caffe's, gradients of
several passes (iter_size) and of layers that share w add up.

ShapeError for a size below 1.  Source: Caffe's include/caffe/layers/parameter_layer.hpp.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ShapeError
from .base import Blob, Layer, Shape, Shapes
from .sizes import times


class Parameter(Layer):
    type = "Parameter"
    records = True
    bottoms = 0
    without_loss = True

    def shapes(self, *bottom: Shape) -> Shapes:
        shape = tuple(int(d) for d in self.spec.parameter_param.shape.dim)
        if any(size < 1 for size in shape):
            raise ShapeError(
                f"{self.label} has a size below 1",
                where=self.context.where,
                found=f"shape {times(shape)}",
            )
        return Shapes((shape,), params=(shape,))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].data[...] = self.blobs[0].data

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if self.param_propagate_down[0]:
            self.blobs[0].diff += top[0].diff
