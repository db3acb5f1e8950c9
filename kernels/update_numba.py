"""The six updates of solvers/, compiled by Numba: one pass over the parameters instead of five.

    g <- scale g + decay w   (L1: decay sign(w)),   then the solver's rule turns g into the update

    rule(w, g, h, k, scale, decay, l1, rate, constants)    w <- w - g

w, g: parameters and gradients, float32; h, k: the solver's first and last history; l1: whether
decay is L1's; constants: what `Solver.constants` says, in that order.  Every operation is rounded
by itself and in the order of the solver's `update`, which is the specification: the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .compiler_numba import compiler

Array = Any

fast = compiler()
f1 = np.float32


@fast
def _regular(w: Any, g: Any, scale: Any, decay: Any, l1: bool) -> Any:
    """The gradient of one parameter, normalized and regularized."""
    g *= scale
    if decay != f1(0):
        if l1:
            g += (f1(1) if w > f1(0) else f1(-1) if w < f1(0) else w) * decay
        else:
            g += w * decay
    return g


@fast
def sgd(
    w: Array, g: Array, h: Array, k: Array, scale: Any, decay: Any, l1: bool, rate: Any,
    constants: Array,
) -> None:  # fmt: skip
    momentum = constants[0]
    for i in range(w.size):
        h[i] = h[i] * momentum + _regular(w[i], g[i], scale, decay, l1) * rate
        g[i] = h[i]
        w[i] -= g[i]


@fast
def nesterov(
    w: Array, g: Array, h: Array, k: Array, scale: Any, decay: Any, l1: bool, rate: Any,
    constants: Array,
) -> None:  # fmt: skip
    momentum = constants[0]
    for i in range(w.size):
        back = h[i] * momentum
        h[i] = _regular(w[i], g[i], scale, decay, l1) * rate + back
        g[i] = h[i] * (f1(1) + momentum) - back
        w[i] -= g[i]


@fast
def adagrad(
    w: Array, g: Array, h: Array, k: Array, scale: Any, decay: Any, l1: bool, rate: Any,
    constants: Array,
) -> None:  # fmt: skip
    delta = constants[0]
    for i in range(w.size):
        d = _regular(w[i], g[i], scale, decay, l1)
        h[i] += d * d
        g[i] = d / (np.sqrt(h[i]) + delta) * rate
        w[i] -= g[i]


@fast
def rmsprop(
    w: Array, g: Array, h: Array, k: Array, scale: Any, decay: Any, l1: bool, rate: Any,
    constants: Array,
) -> None:  # fmt: skip
    mean, delta = constants[0], constants[1]
    for i in range(w.size):
        d = _regular(w[i], g[i], scale, decay, l1)
        h[i] = h[i] * mean + d * d * (f1(1) - mean)
        g[i] = d / (np.sqrt(h[i]) + delta) * rate
        w[i] -= g[i]


@fast
def adadelta(
    w: Array, g: Array, h: Array, k: Array, scale: Any, decay: Any, l1: bool, rate: Any,
    constants: Array,
) -> None:  # fmt: skip
    mean, delta = constants[0], constants[1]
    for i in range(w.size):
        d = _regular(w[i], g[i], scale, decay, l1)
        h[i] = h[i] * mean + d * d * (f1(1) - mean)
        d *= np.sqrt((k[i] + delta) / (h[i] + delta))
        k[i] = k[i] * mean + d * d * (f1(1) - mean)
        g[i] = d * rate
        w[i] -= g[i]


@fast
def adam(
    w: Array, g: Array, h: Array, k: Array, scale: Any, decay: Any, l1: bool, rate: Any,
    constants: Array,
) -> None:  # fmt: skip
    b1, b2, delta, correction = constants[0], constants[1], constants[2], constants[3]
    for i in range(w.size):
        d = _regular(w[i], g[i], scale, decay, l1)
        k[i] = k[i] * b2 + d * d * (f1(1) - b2)
        h[i] = h[i] * b1 + d * (f1(1) - b1)
        g[i] = h[i] / (np.sqrt(k[i]) + delta) * (rate * correction)
        w[i] -= g[i]


RULES: dict[str, Callable[..., None]] = {
    "SGD": sgd,
    "Nesterov": nesterov,
    "AdaGrad": adagrad,
    "RMSProp": rmsprop,
    "AdaDelta": adadelta,
    "Adam": adam,
}
