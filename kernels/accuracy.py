"""How often the true class is among the best scores.

    correct_i = [ #{c: x_i[c] >= x_i[l_i]} <= k ]

The true class counts itself, and equal scores count against it: k classes as good as the true one,
beside it, are too many.  A score that is NaN is never correct.  x (outer, classes, inner).
"""

from __future__ import annotations

import numpy as np

from .labels import Array, strips


def count(
    x: Array, labels: Array, ignore: int | None, k: int, scratch: Array
) -> tuple[Array, Array]:
    """For each class how many labels name it, and how many of these are correct.

    scratch: 2 x outer x inner elements.
    """
    outer, classes, inner = x.shape
    true, better = scratch[: 2 * outer * inner].reshape(2, outer, inner)
    flat = x.reshape(-1)
    for part, _, places, _ in strips(x, labels, None, ignore):
        true.reshape(-1)[part] = flat[places]
    better.fill(0)
    for c in range(classes):
        better += x[:, c] >= true
    named, correct = np.zeros(classes, like=x), np.zeros(classes, like=x)
    for part, label, _, factor in strips(x, labels, None, ignore):
        rank = better.reshape(-1)[part]
        hit = factor * ((rank >= 1) & (rank <= k))
        named += np.bincount(label, factor, classes)
        correct += np.bincount(label, hit, classes)
    return named, correct
