"""How far scores are from lying a margin of 1 on the right side.

    m_i[c] = max(0, 1 + s x_i[c]),   s = -1 of the true class c = l_i, else 1
    loss       sum m        (L1)     sum m^2          (L2)
    gradient   dx = scale s sign(m)  dx = 2 scale s m

x, dx (n, c); labels: n legal classes.
"""

from __future__ import annotations

import numpy as np

from .strips import Array, rows


def loss(x: Array, labels: Array, squared: bool, scratch: Array) -> float:
    """The sum; squared: L2.  scratch: `strips.rows` rows of x."""
    n, c = x.shape
    total, step = 0.0, rows(c)
    for start in range(0, n, step):
        part = slice(start, start + step)
        m = scratch[: x[part].size].reshape(-1, c)
        _margins(x[part], labels[part], m)
        total += float(np.vdot(m, m) if squared else m.sum())
    return total


def gradient(x: Array, labels: Array, squared: bool, scale: float, dx: Array) -> None:
    """Write dx."""
    n, c = x.shape
    step = rows(c)
    for start in range(0, n, step):
        part = slice(start, start + step)
        m = dx[part]
        true = _margins(x[part], labels[part], m)
        if not squared:
            np.sign(m, out=m)
        m *= 2 * scale if squared else scale
        m[true] *= -1


def _margins(x: Array, labels: Array, m: Array) -> tuple[Array, Array]:
    """Write m; return where in it the true classes are."""
    true = np.arange(len(x), like=x), labels.astype(np.int64)
    np.copyto(m, x)
    m[true] *= -1
    m += 1
    np.maximum(m, 0, out=m)
    return true
