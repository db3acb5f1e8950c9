"""RNN: a recurrent layer with one hidden state, and an output layer behind it.

    h_t = tanh(Wx x_t + b + Ws x_static + Wh (cont_t h_{t-1}))        (layers/recurrent.py)
    y_t = tanh(Wo h_t + bo)

    x (T, N, ...)   cont (T, N)   [x_static (N, ...)]   [h_0 (1, N, D)]   ->   y (T, N, D)   [h_T]
    parameters: Wx (D, K)  b (D,)  [Ws (D, Ks)]  Wh (D, D)  Wo (D, D)  bo (D,)

Source: Caffe's src/caffe/layers/rnn_layer.cpp.
"""

from __future__ import annotations

import numpy as np

from ..kernels import inner_product
from ..kernels import recurrent as kernel
from ..kernels.strips import carve
from .base import Array, Blob
from .recurrent import Recurrent, matrix


class RNN(Recurrent):
    type = "RNN"
    bottoms = (2, 4)
    tops = (1, 2)
    gates = 1
    states = ("h",)
    projects = True

    def steps(self, a: Array, cont: Array, w: Array, y: Array, scratch: Array) -> None:
        h = self.saved[0]
        (small,) = carve(scratch, (2, *h.shape[1:]))
        kernel.rnn(a, cont, w, h, small)
        wo, bo = (blob.data for blob in self.blobs[-2:])
        inner_product.inner_product(matrix(h[1:], 2), wo, bo, matrix(y, 2), False)
        np.tanh(y, out=y)

    def steps_gradient(
        self, y: Blob, cont: Array, w: Array, da: Array, spare: Array, scratch: Array
    ) -> None:
        h, (wo, bo) = self.saved[0], self.blobs[-2:]
        np.multiply(y.data, y.data, out=spare)
        np.subtract(1, spare, out=spare)
        spare *= y.diff
        dy = matrix(spare, 2)
        if self.param_propagate_down[-2]:
            inner_product.weight_gradient(matrix(h[1:], 2), dy, wo.diff, False, scratch)
        if self.param_propagate_down[-1]:
            inner_product.bias_gradient(dy, bo.diff)
        inner_product.data_gradient(dy, wo.data, matrix(da, 2), False)
        (small,) = carve(scratch, (2, *h.shape[1:]))
        kernel.rnn_gradient(h, cont, w, da, small)
