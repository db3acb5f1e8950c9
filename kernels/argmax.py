"""The k largest along an axis, and where they are.

    x (outer, n, inner) -> index, value (outer, k, inner), largest first

Of equal values the last comes first, as where Caffe sorts (value, index) pairs downwards.
scratch: `scratch_size` elements.
"""

from __future__ import annotations

import numpy as np

from .strips import Array, length, rows


def scratch_size(outer: int, n: int, inner: int) -> int:
    return max(n, length(outer * n * inner))


def largest(x: Array, k: int, index: Array, value: Array, scratch: Array) -> None:
    """Write index and value; either may be None."""
    outer, n, inner = x.shape
    columns = min(inner, rows(n))
    some = max(1, rows(n) // max(1, inner))
    for i in range(0, outer, some):
        for j in range(0, inner, columns):
            part = np.s_[i : i + some, :, j : j + columns]
            # the axis last and backwards, the sign changed: the first of the smallest is wanted
            source = x[part].transpose(0, 2, 1)[..., ::-1]
            t = scratch[: source.size].reshape(source.shape)
            np.negative(source, out=t)
            if k == 1:
                order = t.argmin(axis=2)[..., None]
            else:
                order = t.argsort(axis=2, kind="stable")[..., :k]
            if index is not None:
                np.subtract(n - 1, order.transpose(0, 2, 1), out=index[part], casting="unsafe")
            if value is not None:
                found = np.take_along_axis(t, order, axis=2)
                np.negative(found.transpose(0, 2, 1), out=value[part])
