"""Rows of a matrix, taken by their numbers.

    embed             y[m] = w[i[m]]            w (k, n), i: m floats (cut to integers), y (m, n)
    weight_gradient   dw[i[m]] += dy[m]

A few rows at a time, so that no array of the blobs' size is made.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .rows import take
from .strips import Array, rows


def embed(index: Array, w: Array, y: Array) -> None:
    """Write y; every number must be a row of w."""
    for i, y_ in _rows(index, y):
        take(w, i, y_)


def weight_gradient(index: Array, dy: Array, dw: Array) -> None:
    """Add to dw."""
    for i, dy_ in _rows(index, dy):
        np.add.at(dw, i, dy_)


def _rows(index: Array, y: Array) -> Iterator[tuple[Array, Array]]:
    """Row numbers, and the rows of y they belong to."""
    step = rows(y.shape[1])
    for start in range(0, y.shape[0], step):
        part = slice(start, start + step)
        yield index.reshape(-1)[part].astype(np.intp), y[part]
