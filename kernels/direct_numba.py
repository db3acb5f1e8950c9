"""3x3 convolution of few channels by its definition, compiled by Numba: a net's first layer.

    y[n, m, i, j] = f(b[m] + sum_{c, k, l} w[m, c, k, l] x[n, c, i + k, j + l])
    dw[m, c, k, l] += sum_{n, i, j} dy'[n, m, i, j] x[n, c, i + k, j + l]
    db[m] += sum_{n, i, j} dy'[n, m, i, j]

Nine products are too few for a matrix product or a transform to pay: im2col would write nine times
the image to read it once.  Stride 1, no padding; f: a rectifier, or nothing; dy' = dy, or 0 where
it gave 0.  Forward, the sum runs over c, k, l in order; gradients are summed along a row in single
precision, rows in double.  The specification is kernels/columns.py.
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
sums = compiler(fastmath={"contract", "nsz", "reassoc"})


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


@sums
def _gradients(
    x: Array, y: Array, dy: Array, m: int, rectify: bool, d: Array, dw: Array, db: Array
) -> None:
    """Add to dw[m] and db[m] what an image gives; d: a row of dy'."""
    channels, (height, width) = len(x), dy.shape[1:]
    zero = dy.dtype.type(0)
    for c in range(channels):
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = total = 0.0
        for i in range(height):
            row, out = dy[m, i], y[m, i]
            a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = a8 = a = zero
            for j in range(width):
                d[j] = zero if rectify and not out[j] > zero else row[j]
                a += d[j]
            p, q, r = x[c, i], x[c, i + 1], x[c, i + 2]
            for j in range(width):
                a0, a1, a2 = a0 + d[j] * p[j], a1 + d[j] * p[j + 1], a2 + d[j] * p[j + 2]
                a3, a4, a5 = a3 + d[j] * q[j], a4 + d[j] * q[j + 1], a5 + d[j] * q[j + 2]
                a6, a7, a8 = a6 + d[j] * r[j], a7 + d[j] * r[j + 1], a8 + d[j] * r[j + 2]
            s0, s1, s2, s3, s4 = s0 + a0, s1 + a1, s2 + a2, s3 + a3, s4 + a4
            s5, s6, s7, s8, total = s5 + a5, s6 + a6, s7 + a7, s8 + a8, total + a
        g = dw[m, c]
        g[0, 0], g[0, 1], g[0, 2] = g[0, 0] + s0, g[0, 1] + s1, g[0, 2] + s2
        g[1, 0], g[1, 1], g[1, 2] = g[1, 0] + s3, g[1, 1] + s4, g[1, 2] + s5
        g[2, 0], g[2, 1], g[2, 2] = g[2, 0] + s6, g[2, 1] + s7, g[2, 2] + s8
        if c == 0:
            db[m] += total


def gradients(
    x: Array, y: Array, dy: Array, dw: Array, db: Array, rectify: bool, room: Room
) -> None:
    """Add to dw and db, which may be None; y is read if there is a rectifier."""
    rows = room.slots(dy.shape[3])
    biases = np.zeros(len(dw), dw.dtype) if db is None else db
    outputs = dy if y is None else y

    def channel(m: int, slot: int) -> None:
        for n in range(len(x)):
            _gradients(x[n], outputs[n], dy[n], m, rectify, rows[slot], dw, biases)

    room.workers.run(channel, len(dw))
