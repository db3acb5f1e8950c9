"""The matrix product of a fully connected layer.

    y (m, n) = x (m, k) w^T + b            w is (n, k), or (k, n) and not transposed
    dx = dy w            dw += dy^T x            db += sum_m dy

dw is made in strips of its rows, because a product cannot be added to an array without a second
array.  scratch: at least one row of w.
"""

from __future__ import annotations

import numpy as np

from .strips import Array


def inner_product(x: Array, w: Array, b: Array | None, y: Array, transposed: bool) -> None:
    """Write y; transposed: w is (k, n)."""
    np.matmul(x, w if transposed else w.T, out=y)
    if b is not None:
        y += b


def data_gradient(dy: Array, w: Array, dx: Array, transposed: bool) -> None:
    """Write dx."""
    np.matmul(dy, w.T if transposed else w, out=dx)


def weight_gradient(x: Array, dy: Array, dw: Array, transposed: bool, scratch: Array) -> None:
    """Add to dw."""
    left, right = (x, dy) if transposed else (dy, x)
    rows, width = dw.shape
    step = max(1, min(rows, scratch.size // width))
    for start in range(0, rows, step):
        part = dw[start : start + step]
        product = scratch[: part.size].reshape(part.shape)
        np.matmul(left[:, start : start + step].T, right, out=product)
        part += product


def bias_gradient(dy: Array, db: Array) -> None:
    """Add to db."""
    db += dy.sum(axis=0)
