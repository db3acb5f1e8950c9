"""Squared distance of two arrays, with or without a weight for each pixel.

    squared_distance       sum w (a - b)^2
    difference             d = scale w (a - b)

a, b, d (n, c, inner)      w (n, inner) or None, for 1      scratch: `strips.length` elements
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .strips import Array, strips


def squared_distance(a: Array, b: Array, w: Array | None, scratch: Array) -> float:
    """The sum, strips added up in double."""
    result = 0.0
    if w is None:
        for t, a_, b_ in strips(scratch, a, b):
            np.subtract(a_, b_, out=t)
            result += float(np.dot(t, t))
        return result
    for n, c in _maps(a):
        for t, a_, b_, w_ in strips(scratch, a[n, c], b[n, c], w[n]):
            np.subtract(a_, b_, out=t)
            t *= t
            result += float(np.dot(t, w_))
    return result


def difference(a: Array, b: Array, w: Array | None, scale: float, d: Array) -> None:
    """Write d."""
    np.subtract(a, b, out=d)
    d *= scale
    if w is not None:
        d *= w[:, None]


def _maps(a: Array) -> Iterator[tuple[int, int]]:
    return ((n, c) for n in range(a.shape[0]) for c in range(a.shape[1]))
