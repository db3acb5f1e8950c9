"""LSTM: a recurrent layer whose cells can keep a value over many steps.

    a_t = Wx x_t + b + Ws x_static + Wh (cont_t h_{t-1})              (layers/recurrent.py)
    i, f, o = sigmoid(a_t's first three quarters),  g = tanh(its last)
    c_t = cont_t f c_{t-1} + i g          y_t = h_t = o tanh(c_t)

    x (T, N, ...) cont (T, N) [x_static (N, ...)] [h_0, c_0 (1, N, D)]  ->  y (T, N, D) [h_T, c_T]
    parameters: Wx (4 D, K)  b (4 D,)  [Ws (4 D, Ks)]  Wh (4 D, D)

Source: Caffe's src/caffe/layers/lstm_layer.cpp.
"""

from __future__ import annotations

import numpy as np

from ..kernels import recurrent as kernel
from ..kernels.strips import carve
from .base import Array, Blob
from .recurrent import Recurrent


class LSTM(Recurrent):
    type = "LSTM"
    bottoms = (2, 5)
    tops = (1, 3)
    gates = 4
    states = ("h", "c")
    projects = False

    def steps(self, a: Array, cont: Array, w: Array, y: Array, scratch: Array) -> None:
        h, c, _ = self.saved
        conted, part = carve(scratch, c.shape[1:], a.shape[1:])
        kernel.lstm(a, cont, w, h, c, conted, part)
        np.copyto(y, h[1:])

    def steps_gradient(
        self, y: Blob, cont: Array, w: Array, da: Array, spare: Array, scratch: Array
    ) -> None:
        _, c, a = self.saved
        (small,) = carve(scratch, (3, *c.shape[1:]))
        kernel.lstm_gradient(a, cont, w, c, y.diff, da, small)
