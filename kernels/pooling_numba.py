"""Maximum pooling by disjoint 2x2 windows, compiled by Numba: one pass instead of a dozen.

Same results as kernels/pooling.py, which is the specification.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler_numba import compiler

Array = Any

LOWEST = -np.finfo(np.float32).max
fast = compiler()


@fast
def max_forward(x: Array, y: Array, arg: Array, first: int, end: int) -> None:
    """Write planes first ... end - 1 of y (planes, h, w) and arg, from x (planes, 2 h, 2 w)."""
    for p in range(first, end):
        for i in range(y.shape[1]):
            upper, lower, out, who = x[p, 2 * i], x[p, 2 * i + 1], y[p, i], arg[p, i]
            for j in range(y.shape[2]):
                a, b, c, d = upper[2 * j], upper[2 * j + 1], lower[2 * j], lower[2 * j + 1]
                best, k = x.dtype.type(LOWEST), np.uint8(0)
                best, k = (a, np.uint8(1)) if a > best else (best, k)
                best, k = (b, np.uint8(2)) if b > best else (best, k)
                best, k = (c, np.uint8(3)) if c > best else (best, k)
                best, k = (d, np.uint8(4)) if d > best else (best, k)
                out[j], who[j] = best, k


@fast
def max_backward(dy: Array, arg: Array, dx: Array, first: int, end: int) -> None:
    """Write planes first ... end - 1 of dx (planes, 2 h, 2 w) from dy and arg (planes, h, w)."""
    zero = dx.dtype.type(0)
    for p in range(first, end):
        for i in range(dy.shape[1]):
            upper, lower, who, g = dx[p, 2 * i], dx[p, 2 * i + 1], arg[p, i], dy[p, i]
            for j in range(dy.shape[2]):
                k, v = who[j], g[j]
                upper[2 * j] = v if k == 1 else zero
                upper[2 * j + 1] = v if k == 2 else zero
                lower[2 * j] = v if k == 3 else zero
                lower[2 * j + 1] = v if k == 4 else zero
