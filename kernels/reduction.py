"""Rows reduced to one number each.

    SUM, MEAN   y = c sum_k x_k               dx_k = c dy
    ASUM        y = c sum_k |x_k|             dx_k = c dy sign(x_k)
    SUMSQ       y = c sum_k x_k^2             dx_k = 2 c dy x_k

x, dx (n, d); y, dy (n); c: a number (for MEAN 1 / d times the coefficient)
scratch: `scratch_size` elements
"""

from __future__ import annotations

import numpy as np

from .strips import LENGTH, Array, length, rows

_PARTS = {"ASUM": np.abs, "SUMSQ": np.square}


def scratch_size(n: int, d: int) -> int:
    return max(n, length(n * d))


def forward(op: str, x: Array, c: float, y: Array, scratch: Array) -> None:
    """Write y; op: as above."""
    if op not in _PARTS:
        np.add.reduce(x, axis=1, out=y)
    else:
        n, d = x.shape
        y.fill(0)
        some = rows(d)
        for i in range(0, n, some):
            for k in range(0, d, LENGTH):
                part = x[i : i + some, k : k + LENGTH]
                t = scratch[: part.size].reshape(part.shape)
                _PARTS[op](part, out=t)
                y[i : i + some] += np.add.reduce(t, axis=1)
    if c != 1:
        y *= c


def backward(op: str, x: Array, dy: Array, c: float, dx: Array, scratch: Array) -> None:
    """Write dx; x may be None for SUM and MEAN."""
    factor = scratch[: dy.size]
    np.multiply(dy, 2 * c if op == "SUMSQ" else c, out=factor)
    if op == "ASUM":
        np.sign(x, out=dx)
        dx *= factor[:, None]
    elif op == "SUMSQ":
        np.multiply(x, factor[:, None], out=dx)
    else:
        dx[...] = factor[:, None]
