"""The rectifier: negative values multiplied by a slope, 0 for the plain one.

    relu       y = max(x, 0) + a min(x, 0)
    gradient   dx = dy where x > 0, else a dy              (at 0: a dy)

The gradient asks only for the sign of x, so for a >= 0 it may be given y.  y may be x, and dx may
be dy.  scratch: `strips.length` elements.
"""

from __future__ import annotations

import numpy as np

from .strips import Array, strips


def relu(x: Array, y: Array, slope: float, scratch: Array) -> None:
    """Write y."""
    if not slope:
        np.maximum(x, 0, out=y)
        return
    for t, x_, y_ in strips(scratch, x, y):
        np.minimum(x_, 0, out=t)
        t *= slope
        np.maximum(x_, 0, out=y_)
        y_ += t


def rectify(y: Array, scratch: Array) -> None:
    """y = max(y, 0) for rows that need not lie together, with scratch as long as one of them.

    Compared with an array, NumPy takes many elements at once; with a number it does not.
    """
    zeros = scratch[: y.shape[-1]]
    zeros.fill(0)
    np.maximum(y, zeros, out=y)


def gradient(sign: Array, dy: Array, dx: Array, slope: float, scratch: Array) -> None:
    """Write dx; sign: any array positive where x is."""
    for t, sign_, dy_, dx_ in strips(scratch, sign, dy, dx):
        np.greater(sign_, 0, out=t)
        if 0 < slope <= 1:
            np.maximum(t, slope, out=t)
        elif slope:
            t *= 1 - slope
            t += slope
        np.multiply(dy_, t, out=dx_)
