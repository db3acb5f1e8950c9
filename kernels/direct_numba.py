"""3x3 convolution of few channels by its definition, compiled by Numba: a net's first layer.

    y[n, m, i, j] = f(b[m] + sum_{c, k, l} w[m, c, k, l] x[n, c, i + k, j + l])

Nine products are too few for a matrix product or a transform to pay: im2col would write nine times
the image to read it once.  Stride 1, no padding; f: a rectifier, or nothing.  The sum runs over c,
k, l in order.  The specification is kernels/columns.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler_numba import compiler
from .im2col import pieces
from .workers import Room

Array = Any

ROWS = 16  # of y at a time
# no promise that there are no NaNs: a loss must become NaN where it does in Caffe
fast = compiler(fastmath={"contract", "nsz"})


@fast
def _rows(x: Array, w: Array, b: Array, y: Array, first: int, end: int, rectify: bool) -> None:
    """Rows first ... end - 1 of all channels of y (M, h, w), from x (C, h + 2, w + 2)."""
    outputs, channels = w.shape[:2]
    width = y.shape[2]
    zero = y.dtype.type(0)
    for m in range(outputs):
        for i in range(first, end):
            out = y[m, i]
            for c in range(channels):
                w0, w1, w2 = w[m, c, 0, 0], w[m, c, 0, 1], w[m, c, 0, 2]
                w3, w4, w5 = w[m, c, 1, 0], w[m, c, 1, 1], w[m, c, 1, 2]
                w6, w7, w8 = w[m, c, 2, 0], w[m, c, 2, 1], w[m, c, 2, 2]
                p, q, r = x[c, i], x[c, i + 1], x[c, i + 2]
                begin, last = c == 0, c == channels - 1
                for j in range(width):
                    v = b[m] if begin else out[j]
                    v += w0 * p[j] + w1 * p[j + 1] + w2 * p[j + 2]
                    v += w3 * q[j] + w4 * q[j + 1] + w5 * q[j + 2]
                    v += w6 * r[j] + w7 * r[j + 1] + w8 * r[j + 2]
                    out[j] = zero if rectify and last and v <= zero else v


def forward(x: Array, w: Array, b: Array, y: Array, rectify: bool, room: Room) -> None:
    """Write y; b may be None.  x (N, C, h + 2, w + 2), w (M, C, 3, 3), y (N, M, h, w)."""
    bias = np.zeros(len(w), y.dtype) if b is None else b
    bands = [(n, *band) for n in range(len(y)) for band in pieces(y.shape[2], ROWS)]

    def band(i: int, _: int) -> None:
        n, first, end = bands[i]
        _rows(x[n], w, bias, y[n], first, end, rectify)

    room.workers.run(band, len(bands))
