"""Every element divided by a power of the squares around it.

    s = k + alpha W(x^2)      y = x s^-beta
                              dx = dy s^-beta - 2 alpha beta x W(dy x s^(-beta - 1))

x (outer, *window axes, inner); W(a): the sum over a box of `reach` elements to either side on each
window axis, of zeros outside.  Backward makes s again, so that nothing need be kept.  The arrays
are taken in parts whole along the window axes.  scratch: `scratch_size` elements.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import numpy as np

from .im2col import boxes
from .strips import LENGTH, Array


class Norm(NamedTuple):
    """reach, alpha (already divided by the box's size), beta and k."""

    reach: int
    alpha: float
    beta: float
    k: float


def scratch_size(shape: tuple[int, ...]) -> int:
    """Elements of scratch for arrays of this shape (outer, *window axes, inner)."""
    return 3 * min(prod(shape), max(prod(shape[1:-1]), LENGTH))


def normalize(x: Array, y: Array, norm: Norm, scratch: Array) -> None:
    """Write y."""
    for part, (a, b, _) in _parts(x, scratch):
        s, _ = _sums(x[part], norm, a, b)
        np.power(s, -norm.beta, out=s)
        np.multiply(x[part], s, out=y[part])


def gradient(x: Array, dy: Array, dx: Array, norm: Norm, scratch: Array) -> None:
    """Write dx."""
    for part, (a, b, direct) in _parts(x, scratch):
        s, other = _sums(x[part], norm, a, b)
        np.power(s, -norm.beta, out=direct)
        direct *= dy[part]
        np.divide(direct, s, out=s)
        s *= x[part]
        around, _ = _box(s, other, norm.reach)
        around *= x[part]
        around *= 2 * norm.alpha * norm.beta
        np.subtract(direct, around, out=dx[part])


def _parts(x: Array, scratch: Array) -> Iterator[tuple[tuple[object, ...], list[Array]]]:
    """Parts of x, and for each three arrays of its shape."""
    if not x.size:
        return
    for outer, inner in boxes((x.shape[0], x.shape[-1]), LENGTH // prod(x.shape[1:-1])):
        part = (slice(*outer), ..., slice(*inner))
        shape = x[part].shape
        size = prod(shape)
        yield part, [scratch[k * size : (k + 1) * size].reshape(shape) for k in range(3)]


def _sums(x: Array, norm: Norm, a: Array, b: Array) -> tuple[Array, Array]:
    """(s, the other one of a and b)"""
    np.multiply(x, x, out=a)
    s, other = _box(a, b, norm.reach)
    s *= norm.alpha
    s += norm.k
    return s, other


def _box(a: Array, b: Array, reach: int) -> tuple[Array, Array]:
    """W(a), one axis after the other, in one of the two arrays; and the other one."""
    for axis in range(1, a.ndim - 1):
        np.copyto(b, a)
        before = (slice(None),) * axis
        for d in range(1, min(reach, a.shape[axis] - 1) + 1):
            low, high = (*before, slice(None, -d)), (*before, slice(d, None))
            b[low] += a[high]
            b[high] += a[low]
        a, b = b, a
    return a, b
