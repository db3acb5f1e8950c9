"""Class labels beside the scores they belong to.

    scores (outer, classes, inner), C-contiguous            labels, weights: outer x inner elements

Labels are floats, cut to integers as Caffe does.  Everything goes in strips, so that no array of
the labels' size is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

Array = Any
LENGTH = 1 << 13  # labels at once


def first_illegal(labels: Array, classes: int, ignore: int | None) -> int | None:
    """The place of the first label that is no class and not ignored (NaN is neither)."""
    labels = labels.reshape(-1)
    for start in range(0, labels.size, LENGTH):
        part = labels[start : start + LENGTH]
        legal = (part > -1) & (part < classes)
        if ignore is not None:
            legal |= np.trunc(part) == ignore
        if not legal.all():
            return start + int(np.argmin(legal))
    return None


def first_unusable(weights: Array) -> int | None:
    """The place of the first weight that is negative, infinite or NaN."""
    weights = weights.reshape(-1)
    for start in range(0, weights.size, LENGTH):
        part = weights[start : start + LENGTH]
        usable = (part >= 0) & (part < np.inf)
        if not usable.all():
            return start + int(np.argmin(usable))
    return None


def count_valid(labels: Array, ignore: int | None) -> int:
    """How many labels (or targets), cut to an integer, are not `ignore`."""
    if ignore is None:
        return int(labels.size)
    flat = labels.reshape(-1)
    return sum(
        int(np.count_nonzero(np.trunc(flat[start : start + LENGTH]) != ignore))
        for start in range(0, flat.size, LENGTH)
    )


def strips(
    scores: Array, labels: Array, weights: Array | None, ignore: int | None
) -> Iterator[tuple[slice, Array, Array, Array]]:
    """For legal labels: which of them; their classes (0 where ignored); the places of these classes
    in the flat scores; and their weights (1 without weights, 0 where ignored)."""
    _, classes, inner = scores.shape
    labels = labels.reshape(-1)
    for start in range(0, labels.size, LENGTH):
        part = slice(start, min(start + LENGTH, labels.size))
        named = labels[part].astype(np.int64)
        factor = np.zeros(named.size, scores.dtype, like=named)
        factor.fill(1)  # not np.ones: NumPy 2 hands CuPy's a `device`, which it does not know
        if weights is not None:
            factor[...] = weights.reshape(-1)[part]
        if ignore is not None:
            ignored = named == ignore
            factor[ignored] = 0
            named[ignored] = 0
        image, position = np.divmod(np.arange(part.start, part.stop, like=named), inner)
        yield part, named, (image * classes + named) * inner + position, factor
