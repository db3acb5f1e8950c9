"""A power of a linear function.

    y = (shift + scale x)^power            dx = dy power scale (shift + scale x)^(power - 1)

Where power or scale is 0, y does not depend on x, and dx is 0; 0^0 is 1.  A negative base under a
broken power gives NaN, as in Caffe.  Caffe computes dx from y / (shift + scale x) and so gets NaN
where the base is 0; this gives the derivative there.
"""

from __future__ import annotations

import numpy as np

from .strips import Array, strips


def power(x: Array, y: Array, exponent: float, scale: float, shift: float) -> None:
    """Write y; it may be x."""
    if exponent * scale == 0:
        with np.errstate(invalid="ignore", divide="ignore"):
            y[...] = np.power(np.float64(shift), exponent)
        return
    np.multiply(x, scale, out=y)
    y += shift
    if exponent != 1:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            np.power(y, exponent, out=y)


def power_gradient(
    x: Array, dy: Array, dx: Array, exponent: float, scale: float, shift: float, scratch: Array
) -> None:
    """Write dx; it may be dy.  x is not looked at where exponent * scale is 0 or exponent is 1."""
    factor = exponent * scale
    if factor == 0:
        dx[...] = 0
    elif exponent == 1:
        np.multiply(dy, factor, out=dx)
    else:
        for t, x_, dy_, dx_ in strips(scratch, x, dy, dx):
            power(x_, t, exponent - 1, scale, shift)
            t *= factor
            with np.errstate(invalid="ignore", over="ignore"):
                np.multiply(dy_, t, out=dx_)
