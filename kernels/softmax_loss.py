"""The negative logarithm of the probabilities that a softmax gave to the true classes.

    loss       sum_i w_i (-log max(p_i[l_i], FLT_MIN))
    gradient   dx_i[c] = scale w_i (p_i[c] - [c = l_i])

    p (outer, classes, inner); i runs over outer x inner; l, w: labels and weights; w = 0 if ignored

The loss is summed in double precision (Caffe: in float32, which at 388x388 is off by 5e-5).
"""

from __future__ import annotations

import numpy as np

from .labels import Array, strips

FLT_MIN = float(np.finfo(np.float32).tiny)


def loss(
    prob: Array, labels: Array, weights: Array | None, ignore: int | None
) -> tuple[float, float]:
    """The sum, and the sum of all w."""
    total = weight = 0.0
    flat = prob.reshape(-1)
    for _, _, places, factor in strips(prob, labels, weights, ignore):
        p = np.maximum(flat[places], FLT_MIN)
        np.log(p, out=p)
        p *= factor
        total -= float(p.sum(dtype=np.float64))
        weight += float(factor.sum(dtype=np.float64))
    return total, weight


def weight_sum(prob: Array, labels: Array, weights: Array | None, ignore: int | None) -> float:
    """The sum of all w."""
    found = strips(prob, labels, weights, ignore)
    return sum(float(factor.sum(dtype=np.float64)) for *_, factor in found)


def gradient(
    prob: Array,
    labels: Array,
    weights: Array | None,
    ignore: int | None,
    scale: float,
    dx: Array,
    scratch: Array,
) -> None:
    """Write dx; scratch: outer x inner elements."""
    outer, _, inner = prob.shape
    factors = scratch[: outer * inner]
    np.copyto(dx, prob)
    flat = dx.reshape(-1)
    for part, _, places, factor in strips(prob, labels, weights, ignore):
        flat[places] -= 1
        np.multiply(factor, scale, out=factors[part])
    dx *= factors.reshape(outer, 1, inner)
