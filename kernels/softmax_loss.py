"""Softmax, and the negative logarithm of the probabilities that it gives to the true classes.

    p = softmax(x)      loss = sum_i w_i (-log max(p_i[l_i], FLT_MIN)) / n
    gradient            dx_i[c] = dloss w_i (p_i[c] - [c = l_i]) / n

x, p (outer, classes, inner); i runs over outer x inner; l, w: labels and weights; w = 0 if ignored;
n: `constant`, or where that is None the sum of all w, at least 1.  scratch: outer x inner elements.

The loss is summed in double precision (Caffe: in float32, which at 388x388 is off by 5e-5).
"""

from __future__ import annotations

import numpy as np

from . import softmax
from .labels import Array, strips

FLT_MIN = float(np.finfo(np.float32).tiny)


def forward(
    x: Array,
    prob: Array,
    labels: Array,
    weights: Array | None,
    ignore: int | None,
    constant: float | None,
    loss: Array,
    divisor: Array,
    scratch: Array,
) -> float | None:
    """Write prob, loss (no axes) and n, the divisor; labels are legal.  Return the sum of all w, or
    None where it stays on the device."""
    softmax.softmax(x, prob, scratch)
    total = weight = 0.0
    flat = prob.reshape(-1)
    for _, _, places, factor in strips(prob, labels, weights, ignore):
        p = np.maximum(flat[places], FLT_MIN)
        np.log(p, out=p)
        p *= factor
        total -= float(p.sum(dtype=np.float64))
        weight += float(factor.sum(dtype=np.float64))
    n = max(1.0, weight) if constant is None else constant
    divisor[...] = n
    loss[...] = total / n
    return weight


def gradient(
    prob: Array,
    labels: Array,
    weights: Array | None,
    ignore: int | None,
    divisor: Array,
    dloss: Array,
    dx: Array,
    scratch: Array,
) -> None:
    """Write dx."""
    outer, _, inner = prob.shape
    scale = float(dloss) / float(divisor)
    factors = scratch[: outer * inner]
    np.copyto(dx, prob)
    flat = dx.reshape(-1)
    for part, _, places, factor in strips(prob, labels, weights, ignore):
        flat[places] -= 1
        np.multiply(factor, scale, out=factors[part])
    dx *= factors.reshape(outer, 1, inner)
