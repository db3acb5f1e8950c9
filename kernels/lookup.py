"""Random grey-value curves, as look-up tables over [0, 1].

    points     2^n + 1 control points: (0, black), (1, white), and n times the midpoints of all
               intervals, each uniform where both slopes beside it stay in [slope_min, slope_max]
    matrix     control points -> table: linear interpolation, and extrapolation by half a table on
               both sides, then smoothing by a Gaussian with sigma = (1 / 2^n) / 4
    apply      y = table(x), linear between its entries; x outside [0, 1] takes the end values

Source: caffe_unet's src/caffe/layers/value_augmentation_layer.cpp.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .strips import LENGTH

Array = Any
Range = tuple[float, float]


def points(
    rng: np.random.Generator, curves: int, black: Range, white: Range, slope: Range, insertions: int
) -> tuple[Array, Array]:
    """Control points (curves, 2^insertions + 1), and which curves could be drawn (curves,): no
    midpoint does where the interval is steeper or flatter than both its halves may be."""
    found = np.stack([rng.uniform(*black, curves), rng.uniform(*white, curves)], axis=1)
    fits, dx = np.ones(curves, bool), 1.0
    for _ in range(insertions):
        dx /= 2
        left, right = found[:, :-1], found[:, 1:]
        low = np.maximum(left + slope[0] * dx, right - slope[1] * dx)
        high = np.minimum(left + slope[1] * dx, right - slope[0] * dx)
        fits &= (low <= high).all(1)
        middle = low + (high - low) * rng.random(low.shape)
        new = np.empty((curves, 2 * found.shape[1] - 1))
        new[:, ::2], new[:, 1::2] = found, middle
        found = new
    return found, fits


def matrix(insertions: int, size: int) -> Array:
    """(size, 2^insertions + 1): a table is this times its control points."""
    n, extra = 2**insertions + 1, size // 2
    dx, fine = 1 / (n - 1), 1 / (size - 1)
    x = (np.arange(size + 2 * extra) - extra) * fine
    interval = np.clip(np.floor(x / dx).astype(int), 0, n - 2)
    part = x / dx - interval
    linear = np.zeros((len(x), n))
    rows = np.arange(len(x))
    linear[rows, interval], linear[rows, interval + 1] = 1 - part, part
    smooth = np.exp(-0.5 * ((np.arange(size)[:, None] * fine - x) / (dx / 4)) ** 2)
    smooth /= smooth.sum(1, keepdims=True)
    return smooth @ linear


def table(matrix_: Array, control: Array) -> Array:
    """The table of one curve."""
    return (matrix_ * control).sum(1)


def apply(x: Array, table_: Array, y: Array) -> None:
    """Write y, which may be x: C-contiguous arrays of one size."""
    last, kind = len(table_) - 1, x.dtype.type
    values = table_.astype(x.dtype)
    rise = np.append(np.diff(values), kind(0))
    x, y = x.reshape(-1), y.reshape(-1)
    for start in range(0, x.size, LENGTH):
        part = slice(start, start + LENGTH)
        at = (x[part] * kind(last)).clip(kind(0), kind(last))
        i = at.astype(np.intp)
        at -= i
        at *= rise.take(i)
        np.add(at, values.take(i), out=y[part])
