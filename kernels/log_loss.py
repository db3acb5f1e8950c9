"""Minus the logarithms of probabilities: of the true class, or of all by a matrix.

    multinomial   sum_i -log q_i[l_i]                        dp_i[c] = -scale [c = l_i] / q_i[c]
    infogain      sum_i sum_c -H[l_i, c] log q_i[c]          of the scores p is the softmax of:
                  dx_i[c] = scale (p_i[c] sum_k H[l_i, k] - H[l_i, c]),  0 where l_i is ignored

    p (outer, classes, inner), i runs over outer x inner; q = max(p, 1e-20); H (classes, classes)

Labels are legal classes or `ignore`, and are cut to integers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .labels import Array
from .labels import strips as labelled
from .strips import LENGTH

THRESHOLD = float(np.float32(1e-20))


def multinomial(p: Array, labels: Array) -> float:
    """The sum."""
    total, flat = 0.0, p.reshape(-1)
    for _, _, places, _ in labelled(p, labels, None, None):
        total -= float(np.log(np.maximum(flat[places], THRESHOLD)).sum(dtype=np.float64))
    return total


def multinomial_gradient(p: Array, labels: Array, scale: float, dp: Array) -> None:
    """Write dp."""
    dp.fill(0)
    flat, dflat = p.reshape(-1), dp.reshape(-1)
    for _, _, places, _ in labelled(p, labels, None, None):
        dflat[places] = -scale / np.maximum(flat[places], THRESHOLD)


def infogain(p: Array, labels: Array, h: Array, ignore: int | None) -> float:
    """The sum over labels that are not ignored."""
    total = 0.0
    for part, label, ignored in _blocks(p, labels, ignore):
        weight = h[label]
        weight[ignored] = 0
        t = np.maximum(p[part], THRESHOLD)
        np.log(t, out=t)
        t *= np.moveaxis(weight, -1, 1)
        total -= float(t.sum(dtype=np.float64))
    return total


def infogain_gradient(
    p: Array, labels: Array, h: Array, ignore: int | None, scale: float, dx: Array
) -> None:
    """Write dx."""
    row_sum = h.sum(axis=1)
    for part, label, ignored in _blocks(p, labels, ignore):
        d = dx[part]
        np.multiply(p[part], row_sum[label][:, None], out=d)
        d -= np.moveaxis(h[label], -1, 1)
        d *= scale
        np.moveaxis(d, 1, -1)[ignored] = 0


def _blocks(
    p: Array, labels: Array, ignore: int | None
) -> Iterator[tuple[tuple[slice, slice, slice], Array, Array]]:
    """Parts (b, classes, n) of p, their labels (b, n), 0 where ignored, and where that is."""
    outer, classes, inner = p.shape
    labels = labels.reshape(outer, inner)
    step = max(1, LENGTH // classes)
    rows = max(1, step // max(1, inner))
    for o in range(0, outer, rows):
        for i in range(0, inner, step):
            over, along = slice(o, o + rows), slice(i, i + step)
            label = labels[over, along].astype(np.int64)
            ignored = np.zeros(label.shape, bool, like=label) if ignore is None else label == ignore
            label[ignored] = 0
            yield (over, slice(None), along), label, ignored
