"""Rows of the first axis: picked by number, and their gradients given back.

    take       y_n = x_{i_n}                 give_back       dx_j = sum of dy_n with i_n = j

x, dx (N, ...), y, dy (M, ...), i: M integers in [0, N)
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any


def take(x: Array, index: Array, y: Array) -> None:
    """Write y."""
    if isinstance(x, np.ndarray):
        np.take(x, index, axis=0, out=y, mode="clip")  # "raise" would work in a copy of y
    else:
        y[...] = x[index]


def give_back(dy: Array, index: Array, dx: Array) -> None:
    """Write dx; a row named several times gets the sum, in the order of i."""
    dx.fill(0)
    for n, i in enumerate(index.tolist()):
        target = dx[i, ...]
        target += dy[n]
