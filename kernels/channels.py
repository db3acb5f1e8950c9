"""Arithmetic with one number for each channel.

Arrays are seen as (outer, channels, inner); a "channel" may be any run of axes.

    total       sum_c = sum_{o, i} a
    dot         sum_c = sum_{o, i} a b
    scale       y = factor x + shift
    normalize   y = (x - mean) / std        std = sqrt(variance + epsilon), all of x itself
                dx = (dy - mean(dy) - y mean(dy y)) / std

Outputs may be the input of the same shape.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from .strips import Array

PIECE = 1 << 12  # products that are added up in the arrays' dtype
MOST = 1 << 22  # products that lie in a device's memory at once


def column(values: Array) -> Array:
    """(channels,) as (channels, 1), to be used beside (outer, channels, inner)."""
    return values.reshape(-1, 1)


def total(a: Array) -> Array:
    """(channels,)"""
    return a.sum(axis=(0, 2))


def dot(a: Array, b: Array) -> Array:
    """(channels,); pieces by the BLAS, whose few running sums in float32 are off by 7e-6 after two
    million squares (einsum's only one by 1.6e-4), and their sum in float64: off by 3e-8."""
    outer, channels, inner = a.shape
    if not isinstance(a, np.ndarray):  # a device's, whose passes are recorded without its BLAS
        step = max(1, MOST // max(1, outer * channels))
        parts = (np.s_[..., start : start + step] for start in range(0, max(1, inner), step))
        found: Array = sum((a[p] * b[p]).sum(axis=(0, 2), dtype=np.float64) for p in parts)
        return found.astype(a.dtype)
    width = _width(inner)
    whole = inner - inner % width
    pieces = (outer, channels, whole // width, width)
    sums = _products(a[..., :whole].reshape(pieces), b[..., :whole].reshape(pieces))
    if whole < inner:
        sums += _products(a[..., None, whole:], b[..., None, whole:])
    return sums.astype(a.dtype)


def _products(a: Array, b: Array) -> Array:
    """(channels,) in float64, of arrays (outer, channels, pieces, elements)."""
    products: Array = np.matmul(a[..., None, :], b[..., None])
    return products[..., 0, 0].sum(axis=(0, 2), dtype=np.float64)


@cache
def _width(inner: int) -> int:
    """Elements of a piece: where there is one a divisor, so that nothing is left."""
    most = max(1, min(PIECE, inner))
    return next((w for w in range(most, PIECE // 16, -1) if inner % w == 0), most)


def scale(x: Array, factor: Array, y: Array, shift: Array | None = None) -> None:
    """y = factor x + shift"""
    np.multiply(x, column(factor), out=y)
    if shift is not None:
        y += column(shift)


def normalize(x: Array, y: Array, epsilon: float) -> tuple[Array, Array, Array]:
    """Write y; return mean, variance and std of each channel of x."""
    m = x.shape[0] * x.shape[2]
    mean = total(x) / m
    np.subtract(x, column(mean), out=y)
    variance = dot(y, y) / m
    std = np.sqrt(variance + epsilon)
    y /= column(std)
    return mean, variance, std


def normalize_gradient(y: Array, dy: Array, std: Array, dx: Array, scratch: Array) -> None:
    """Write dx; scratch: as large as one of the outer slices."""
    m = y.shape[0] * y.shape[2]
    mean, slope = column(total(dy) / m), column(dot(dy, y) / m)
    product = scratch[: y[0].size].reshape(y[0].shape)
    for y_, dy_, dx_ in zip(y, dy, dx, strict=True):
        np.multiply(y_, slope, out=product)
        np.subtract(dy_, product, out=dx_)
        dx_ -= mean
        dx_ /= column(std)
