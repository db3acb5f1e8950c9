"""What an up-convolution of disjoint 2x2 windows paints, compiled by Numba: one pass over y.

Same results as the loop in kernels/deconvolution.py, which is the specification.
"""

from __future__ import annotations

from typing import Any

from .compiler_numba import compiler

Array = Any

fast = compiler()


@fast
def paint(col: Array, y: Array, top: int, left: int, bias: Array, rectify: bool) -> None:
    """y[n, m, 2 (top + i) + k, 2 (left + j) + l] = col[n, m, k, l, i, j] + bias[m], 0 where that is
    negative and to be rectified."""
    zero = y.dtype.type(0)
    images, channels, _, _, rows, columns = col.shape
    for n in range(images):
        for m in range(channels):
            b = bias[m]
            for i in range(rows):
                for k in range(2):
                    line = y[n, m, 2 * (top + i) + k]
                    out = line[2 * left : 2 * (left + columns)]
                    even, odd = col[n, m, k, 0, i], col[n, m, k, 1, i]
                    for j in range(columns):
                        v, w = even[j] + b, odd[j] + b
                        if rectify:
                            v, w = zero if v <= 0 else v, zero if w <= 0 else w
                        out[2 * j], out[2 * j + 1] = v, w
