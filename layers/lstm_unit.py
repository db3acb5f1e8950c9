"""LSTMUnit: one step of an LSTM's cells, what comes in being given.

    i, f, o = sigmoid(a's first three quarters),  g = tanh(its last)
    c = cont f c_before + i g          h = o tanh(c)

    c_before (1, N, D)   a (1, N, 4 D)   cont (1, N)   ->   c, h (1, N, D)

c_before and a get a gradient (kernels/recurrent.py), cont none.  ShapeError where sizes differ.
Source: Caffe's src/caffe/layers/lstm_unit_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ShapeError
from ..kernels import recurrent as kernel
from ..kernels.strips import carve
from .base import Blob, Buffer, Layer, Shape, Shapes
from .sizes import times


class LSTMUnit(Layer):
    type = "LSTMUnit"
    records = True
    bottoms = 3
    tops = 2
    no_gradient = frozenset({2})
    backward_reads = ("bottom0", "bottom2", "top0")

    def shapes(self, *bottom: Shape) -> Shapes:
        before, a, cont = bottom
        n, d = before[1:] if len(before) == 3 else (1, 1)
        if bottom != ((1, n, d), (1, n, 4 * d), (1, n)):
            raise ShapeError(
                f"{self.label} wants cells, four times as many gates, and one number a stream",
                where=self.context.where,
                expected="1xNxD, 1xNx4D and 1xN",
                found=f"{times(before)}, {times(a)} and {times(cont)}",
            )
        return Shapes((before, before), saved=(Buffer(a),), scratch=n * 6 * d)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        before, a, cont = (blob.data for blob in bottom)
        (activations,) = self.saved
        np.copyto(activations, a)
        kernel.unit(activations[0], cont[0], before[0], top[0].data[0], top[1].data[0])

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        before, cont, a, c = bottom[0], bottom[2].data[0], self.saved[0][0], top[0].data[0]
        spare, dbefore, da = carve(self.scratch, c.shape, c.shape, a.shape)
        if propagate_down[0]:
            dbefore = before.diff[0]
        if propagate_down[1]:
            da = bottom[1].diff[0]
        dc, dh = top[0].diff[0], top[1].diff[0]
        kernel.unit_gradient(a, cont, before.data[0], c, dc, dh, da, dbefore, spare)
