"""Pairs of rows: similar ones shall lie near each other, others at least a margin apart.

    d_i^2 = |a_i - b_i|^2          loss_i = d_i^2                      of a similar pair
                                            max(margin - d_i, 0)^2     of another
                                            max(margin - d_i^2, 0)     of another, legacy
    gradient   da_i = scale f_i (a_i - b_i),   f_i = 1                            of a similar pair
                                               -(margin - d_i) / (d_i + 1e-4)     of another
                                               -1                                 of another, legacy
                                               0           of another, not nearer than the margin

It is the gradient of loss_i / 2, as Caffe has it: the 1e-4 guards the division, and is no part of
the derivative.  a, b (n, c); similar, squared (n,), where similar, cut to an integer, is not 0.
"""

from __future__ import annotations

import numpy as np

from .strips import Array, rows

_GUARD = 1e-4


def squared_distance(a: Array, b: Array, squared: Array, scratch: Array) -> None:
    """Write d_i^2; scratch: `strips.rows` rows of a."""
    n, c = a.shape
    step = rows(c)
    for start in range(0, n, step):
        part = slice(start, start + step)
        t = scratch[: a[part].size].reshape(-1, c)
        np.subtract(a[part], b[part], out=t)
        squared[part] = np.einsum("nc,nc->n", t, t)


def loss(squared: Array, similar: Array, margin: float, legacy: bool) -> float:
    """The sum of all loss_i."""
    gap = np.maximum(margin - (squared if legacy else np.sqrt(squared)), 0)
    apart = gap if legacy else gap * gap
    return float(np.where(np.trunc(similar) != 0, squared, apart).sum(dtype=np.float64))


def gradient(
    a: Array,
    b: Array,
    squared: Array,
    similar: Array,
    margin: float,
    legacy: bool,
    scale: float,
    da: Array,
) -> None:
    """Write da; with a and b changed over, db."""
    if legacy:
        factor = np.where(squared < margin, -1, 0)
    else:
        d = np.sqrt(squared)
        factor = -np.maximum(margin - d, 0) / (d + _GUARD)
    factor = np.where(np.trunc(similar) != 0, 1, factor) * scale
    np.subtract(a, b, out=da)
    da *= factor[:, None].astype(da.dtype)
