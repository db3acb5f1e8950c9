"""Arrays of one shape combined element by element.

    weighted_sum       y = sum_i c_i x_i
    product            y = prod_i x_i            others: prod_{j != i} x_j
    maximum            y = max_i x_i, and which i that was

Of equal first two arrays the second wins; a later one must be greater (Caffe's rule).
scratch: `strips.length` elements.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .strips import Array, strips


def weighted_sum(xs: Sequence[Array], c: Sequence[float], y: Array, scratch: Array) -> None:
    """Write y."""
    np.multiply(xs[0], c[0], out=y)
    for x, factor in zip(xs[1:], c[1:], strict=True):
        if factor == 1:
            y += x
            continue
        for t, x_, y_ in strips(scratch, x, y):
            np.multiply(x_, factor, out=t)
            y_ += t


def product(xs: Sequence[Array], y: Array) -> None:
    """Write y."""
    np.copyto(y, xs[0])
    for x in xs[1:]:
        y *= x


def maximum(xs: Sequence[Array], y: Array, which: Array, scratch: Array) -> None:
    """Write y, and the index of the winner to `which`."""
    np.copyto(y, xs[1])
    which.fill(1)
    for i, x in enumerate(xs):
        if i != 1:
            for t, x_, y_, which_ in strips(scratch, x, y, which):
                greater = t.view(np.bool_)[: t.size]
                np.greater(x_, y_, out=greater)
                np.copyto(y_, x_, where=greater)
                np.copyto(which_, i, where=greater)


def maximum_gradient(dy: Array, which: Array, i: int, dx: Array, scratch: Array) -> None:
    """Write dx of array i."""
    for t, dy_, which_, dx_ in strips(scratch, dy, which, dx):
        np.equal(which_, i, out=t)
        np.multiply(dy_, t, out=dx_)
