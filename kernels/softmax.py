"""Softmax over the middle axis of (outer, classes, inner).

    softmax    y[c] = exp(x[c] - m) / sum_k exp(x[k] - m),   m = max_k x[k]
    gradient   dx[c] = (dy[c] - sum_k dy[k] y[k]) y[c]

y may be x, and dx may be dy.  scratch: outer x inner elements.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any


def softmax(x: Array, y: Array, scratch: Array) -> None:
    """Write y."""
    line = _line(x, scratch)
    np.max(x, axis=1, keepdims=True, out=line)
    np.subtract(x, line, out=y)
    np.exp(y, out=y)
    np.sum(y, axis=1, keepdims=True, out=line)
    y /= line


def gradient(y: Array, dy: Array, dx: Array, scratch: Array) -> None:
    """Write dx."""
    line = _line(y, scratch)
    line[:, 0] = np.einsum("oci,oci->oi", dy, y)
    np.subtract(dy, line, out=dx)
    dx *= y


def _line(x: Array, scratch: Array) -> Array:
    outer, _, inner = x.shape
    return scratch[: outer * inner].reshape(outer, 1, inner)
