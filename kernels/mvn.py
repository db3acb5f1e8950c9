"""Groups of elements brought to mean 0 and perhaps variance 1; arrays are (groups, elements).

    centre       y = x - mean(x)                     dx = dy - mean(dy)
    standardize  y /= std,  std = sqrt(mean(y^2)) + eps
                                                     dx = (dy - mean(dy) - y mean(dy y)) / std

Outputs may be the input of the same shape.  The gradient is Caffe's: exact for eps = 0.
"""

from __future__ import annotations

import numpy as np

from . import channels
from .im2col import boxes
from .strips import LENGTH, Array


def centre(x: Array, y: Array) -> None:
    """Write y, or dx from dy."""
    np.subtract(x, x.mean(axis=1, keepdims=True), out=y)


def standardize(y: Array, eps: float, std: Array) -> None:
    """Divide y, which is centred, by std, which is written: (groups,)."""
    std[...] = _dot(y, y)
    std /= y.shape[1]
    np.sqrt(std, out=std)
    std += eps
    y /= std[:, None]


def gradient(y: Array, dy: Array, std: Array, dx: Array, scratch: Array) -> None:
    """Write dx; scratch: `strips.length` elements."""
    mean, slope = dy.mean(axis=1), _dot(dy, y) / y.shape[1]
    for groups, elements in boxes(y.shape, LENGTH):
        group = slice(*groups)
        part = (group, slice(*elements))
        t = scratch[: y[part].size].reshape(y[part].shape)
        np.multiply(y[part], slope[group, None], out=t)
        t += mean[group, None]
        np.subtract(dy[part], t, out=dx[part])
        dx[part] /= std[group, None]


def _dot(a: Array, b: Array) -> Array:
    """Of each row."""
    return channels.dot(a[None], b[None])
