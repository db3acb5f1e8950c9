"""Functions of every element, and their gradients.

    absolute     y = |x|                                  dx = dy sign(x)
    bnll         y = log(1 + exp(x))                      dx = dy (1 - exp(-y))
    clip         y = max(low, min(x, high))               dx = dy where low <= x <= high, else 0
    elu          y = max(x, 0) + a (exp(min(x, 0)) - 1)   dx = dy where x > 0, else dy a exp(x)
    exponential  y = outer exp(inner x)                   dx = dy inner y
    logarithm    y = log(scale x + shift) / b             dx = dy scale / (b (scale x + shift))
    swish        y = x s,  s = sigmoid(b x)               dx = dy s (1 + b x (1 - s))

y may be x, and dx may be dy.  scratch: `strips.length` elements.
"""

from __future__ import annotations

import numpy as np

from .sigmoid import sigmoid
from .strips import Array, strips


def absolute_gradient(x: Array, dy: Array, dx: Array, scratch: Array) -> None:
    """Write dx; 0 where x is 0."""
    for t, x_, dy_, dx_ in strips(scratch, x, dy, dx):
        np.sign(x_, out=t)
        np.multiply(dy_, t, out=dx_)


def bnll(x: Array, y: Array) -> None:
    """Write y, without overflow."""
    np.logaddexp(x, 0, out=y)


def bnll_gradient(y: Array, dy: Array, dx: Array, scratch: Array) -> None:
    """Write dx; 1 - exp(-y) is sigmoid(x)."""
    for t, y_, dy_, dx_ in strips(scratch, y, dy, dx):
        np.negative(y_, out=t)
        np.expm1(t, out=t)
        np.negative(t, out=t)
        np.multiply(dy_, t, out=dx_)


def clip(x: Array, y: Array, low: float, high: float) -> None:
    """Write y: low where x is NaN or low > high, which np.clip would not give."""
    np.minimum(x, high, out=y)
    np.fmax(y, low, out=y)


def clip_gradient(x: Array, dy: Array, dx: Array, low: float, high: float, scratch: Array) -> None:
    """Write dx; dy passes on both edges."""
    for t, x_, dy_, dx_ in strips(scratch, x, dy, dx):
        np.greater_equal(x_, low, out=t)
        t *= x_ <= high
        np.multiply(dy_, t, out=dx_)


def elu(x: Array, y: Array, alpha: float, scratch: Array) -> None:
    """Write y."""
    for t, x_, y_ in strips(scratch, x, y):
        np.minimum(x_, 0, out=t)
        np.expm1(t, out=t)
        t *= alpha
        np.maximum(x_, 0, out=y_)
        y_ += t


def elu_gradient(
    known: Array, dy: Array, dx: Array, alpha: float, scratch: Array, *, is_top: bool
) -> None:
    """Write dx from y (is_top: for alpha >= 0 it has the sign of x) or from x."""
    for t, known_, dy_, dx_ in strips(scratch, known, dy, dx):
        np.minimum(known_, 0, out=t)
        if not is_top:
            np.expm1(t, out=t)
            t *= alpha
        t += alpha  # y + alpha = alpha exp(x)
        np.copyto(t, 1, where=known_ > 0)
        np.multiply(dy_, t, out=dx_)


def exponential(x: Array, y: Array, inner: float, outer: float) -> None:
    """Write y."""
    np.multiply(x, inner, out=y)
    np.exp(y, out=y)
    if outer != 1:
        y *= outer


def exponential_gradient(y: Array, dy: Array, dx: Array, inner: float) -> None:
    """Write dx."""
    np.multiply(dy, y, out=dx)
    dx *= inner


def logarithm(x: Array, y: Array, scale: float, shift: float, log_base: float) -> None:
    """Write y; infinite at 0 and NaN below."""
    np.multiply(x, scale, out=y)
    y += shift
    with np.errstate(invalid="ignore", divide="ignore"):
        np.log(y, out=y)
    if log_base != 1:
        y *= 1 / log_base


def logarithm_gradient(
    x: Array, dy: Array, dx: Array, scale: float, shift: float, log_base: float, scratch: Array
) -> None:
    """Write dx; no limit at 0."""
    for t, x_, dy_, dx_ in strips(scratch, x, dy, dx):
        np.multiply(x_, scale, out=t)
        t += shift
        with np.errstate(invalid="ignore", divide="ignore"):
            np.divide(scale / log_base, t, out=t)
            np.multiply(dy_, t, out=dx_)


def swish(x: Array, y: Array, beta: float, scratch: Array) -> None:
    """Write y."""
    for t, x_, y_ in strips(scratch, x, y):
        np.multiply(x_, beta, out=t)
        sigmoid(t, t)
        np.multiply(x_, t, out=y_)


def swish_gradient(x: Array, dy: Array, dx: Array, beta: float, scratch: Array) -> None:
    """Write dx."""
    for s, x_, dy_, dx_ in strips(scratch, x, dy, dx):
        np.multiply(x_, beta, out=s)
        slope = s.copy()
        sigmoid(s, s)
        slope *= 1 - s
        slope += 1
        slope *= s
        np.multiply(dy_, slope, out=dx_)
