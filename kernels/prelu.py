"""The rectifier with a slope a for each channel; arrays are (outer, channels, inner).

    prelu            y = max(x, 0) + a min(x, 0)
    gradient         dx = dy where x > 0, else a dy
    slope_gradient   da = sum of dy min(x, 0) over outer and inner

y may be x, and dx may be dy.  scratch: `strips.length` elements.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .im2col import boxes
from .strips import LENGTH, Array


def prelu(x: Array, slope: Array, y: Array, scratch: Array) -> None:
    """Write y."""
    for part, t, a in _parts(x, slope, scratch):
        np.minimum(x[part], 0, out=t)
        t *= a
        np.maximum(x[part], 0, out=y[part])
        y[part] += t


def gradient(x: Array, dy: Array, slope: Array, dx: Array, scratch: Array) -> None:
    """Write dx."""
    for part, t, a in _parts(x, slope, scratch):
        t[...] = a
        np.copyto(t, 1, where=x[part] > 0)
        np.multiply(dy[part], t, out=dx[part])


def slope_gradient(x: Array, dy: Array, slope: Array, scratch: Array) -> Array:
    """da, summed in double precision."""
    total = np.zeros(slope.size, like=slope)
    for part, t, _ in _parts(x, slope, scratch):
        np.minimum(x[part], 0, out=t)
        t *= dy[part]
        total[part[1]] += t.sum(axis=(0, 2))
    return total


def _parts(
    x: Array, slope: Array, scratch: Array
) -> Iterator[tuple[tuple[slice, ...], Array, Array]]:
    """Parts of x, and for each its share of the scratch and the slopes of its channels."""
    for box in boxes(x.shape, LENGTH) if x.size else ():
        part = tuple(slice(*ends) for ends in box)
        shape = x[part].shape
        t = scratch[: shape[0] * shape[1] * shape[2]].reshape(shape)
        yield part, t, slope.reshape(-1, 1)[part[1]]
