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

CHOSEN = 1 << 22  # elements of the matrix that picks rows, where a device adds them up


def embed(index: Array, w: Array, y: Array) -> None:
    """Write y; every number must be a row of w."""
    for i, y_ in _rows(index, y):
        take(w, i, y_)


def weight_gradient(index: Array, dy: Array, dw: Array) -> None:
    """Add to dw."""
    if isinstance(dw, np.ndarray):
        for i, dy_ in _rows(index, dy):
            np.add.at(dw, i, dy_)
        return
    # a device would add with atomics, in any order; a product has one order
    number = np.arange(len(dw), like=dw)[:, None]
    for i, dy_ in _rows(index, dy, max(1, CHOSEN // len(dw))):
        dw += (number == i).astype(dw.dtype) @ dy_


def _rows(index: Array, y: Array, most: int | None = None) -> Iterator[tuple[Array, Array]]:
    """Row numbers, and the rows of y they belong to; most: how many at once."""
    step = rows(y.shape[1]) if most is None else min(rows(y.shape[1]), most)
    for start in range(0, y.shape[0], step):
        part = slice(start, start + step)
        yield index.reshape(-1)[part].astype(np.intp), y[part]
