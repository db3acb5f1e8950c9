"""Objects in label images: connected components, their centres, and which of two sets match.

    instances   (*S) class labels -> (*S) numbers 1, 2, ..: neighbours across a face with one class
    overlaps    |a_i and b_j| / |a_i or b_j|
    centres     weighted means of the coordinates, in voxels
    matched     pairs with the least total distance (Hungarian method), among those objects that
                have any partner near enough; of these, the pairs that are near enough themselves

Nothing is NaN: no object gives empty arrays, and no pair.
Source: caffe_unet's src/caffe/layers/f1_layer.cpp and connected_component_labeling.hpp; its pairs
may be farther apart than the threshold, against its own description.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage, optimize

Array = Any


def instances(labels: Array, valid: Array, background: int, classes: int) -> tuple[Array, Array]:
    """Numbers of objects where labels are valid and not background, and the class of each object
    (n,); labels: integers."""
    found, kinds = np.zeros(labels.shape, np.int64), list[int]()
    for c in range(classes):
        if c == background:
            continue
        parts, n = ndimage.label((labels == c) & valid)
        inside = parts > 0
        found[inside] = parts[inside] + len(kinds)
        kinds += [c] * n
    return found, np.array(kinds, np.int64)


def overlaps(a: Array, b: Array, n: int, m: int) -> Array:
    """(n, m) intersections over unions of the objects of two images."""
    pairs = np.bincount((a * (m + 1) + b).reshape(-1), minlength=(n + 1) * (m + 1))
    both = pairs.reshape(n + 1, m + 1).astype(np.float64)
    either = both[1:].sum(1)[:, None] + both[:, 1:].sum(0) - both[1:, 1:]
    return both[1:, 1:] / np.maximum(either, 1)


def centres(objects: Array, n: int, weights: Array) -> Array:
    """(n, axes) centres; the plain mean where an object's weights are all 0."""
    numbers = objects.reshape(-1)
    inside = np.flatnonzero(numbers)
    numbers, w = numbers[inside], weights.reshape(-1)[inside].astype(np.float64)
    total = np.bincount(numbers, w, n + 1)
    w = np.where(total[numbers] > 0, w, 1.0)
    total = np.maximum(np.bincount(numbers, w, n + 1), np.finfo(float).tiny)
    at = np.unravel_index(inside, objects.shape)
    return np.stack([(np.bincount(numbers, w * x, n + 1) / total)[1:] for x in at], axis=1)


def matched(distance: Array, threshold: float) -> Array:
    """(pairs, 2) rows and columns of the matches; distance (n, m)."""
    near = distance <= threshold
    rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
    i, j = optimize.linear_sum_assignment(distance[np.ix_(rows, columns)])
    i, j = rows[i], columns[j]
    fits = near[i, j]
    return np.stack([i[fits], j[fits]], axis=1)
