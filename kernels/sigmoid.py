"""The logistic function, its relatives, and the cross entropy over it.

    sigmoid             y = 1 / (1 + exp(-x)) = tanh(x / 2) / 2 + 1/2         dx = dy y (1 - y)
    tanh                y = tanh(x)                                            dx = dy (1 - y^2)
    cross_entropy       sum max(x, 0) - t x + log(1 + exp(-|x|))           dx = sigmoid(x) - t
                        = -sum t log(sigmoid(x)) + (1 - t) log(1 - sigmoid(x)), without overflow

y may be x, and dx may be dy.  scratch: `strips.length` elements.
"""

from __future__ import annotations

import numpy as np

from .strips import Array, strips


def sigmoid(x: Array, y: Array) -> None:
    """Write y."""
    np.multiply(x, 0.5, out=y)
    np.tanh(y, out=y)
    y *= 0.5
    y += 0.5


def sigmoid_gradient(y: Array, dy: Array, dx: Array, scratch: Array) -> None:
    """Write dx."""
    for t, y_, dy_, dx_ in strips(scratch, y, dy, dx):
        np.subtract(1, y_, out=t)
        t *= y_
        np.multiply(dy_, t, out=dx_)


def tanh_gradient(y: Array, dy: Array, dx: Array, scratch: Array) -> None:
    """Write dx."""
    for t, y_, dy_, dx_ in strips(scratch, y, dy, dx):
        np.multiply(y_, y_, out=t)
        np.subtract(1, t, out=t)
        np.multiply(dy_, t, out=dx_)


def cross_entropy(x: Array, target: Array, ignore: int | None, scratch: Array) -> float:
    """The sum over the elements whose target, cut to an integer, is not `ignore`."""
    total = 0.0
    for t, x_, target_ in strips(scratch, x, target):
        np.abs(x_, out=t)
        np.negative(t, out=t)
        np.exp(t, out=t)
        np.log1p(t, out=t)
        t += np.maximum(x_, 0)
        t -= target_ * x_
        if ignore is not None:
            t *= np.trunc(target_) != ignore
        total += float(t.sum())
    return total


def cross_entropy_gradient(
    x: Array, target: Array, ignore: int | None, scale: float, dx: Array, scratch: Array
) -> None:
    """Write dx, multiplied by scale; 0 where the target is ignored."""
    for t, x_, target_, dx_ in strips(scratch, x, target, dx):
        sigmoid(x_, t)
        t -= target_
        t *= scale
        if ignore is not None:
            t *= np.trunc(target_) != ignore
        dx_[...] = t
