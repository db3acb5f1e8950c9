"""Distances in pixels to the nearest and the second nearest object, in any number of dimensions.

    d1(x) = min_k |x - object k|        d2(x) = the second smallest of them; infinite without one

One distance transform an object, in its bounding box widened by what is still of interest: the
work grows with the size of the objects, not with their number times the image.
"""

from __future__ import annotations

import math

import numpy as np


def nearest_two(
    labels: np.ndarray, count: int, *, reach: float, part: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(d1, d2), float64, centre to centre, to objects numbered 1..count (see `compact`).

    Exact up to `reach`; further away they may be infinite.  part: bool mask of the pixels that
    stand for their object, its border for instance; None: all.
    """
    from scipy import ndimage

    d1 = np.full(labels.shape, np.inf)
    d2 = np.full(labels.shape, np.inf)
    margin = math.ceil(reach)
    for number, box in enumerate(ndimage.find_objects(labels, count), start=1):
        if box is None:
            continue
        window = tuple(
            slice(max(side.start - margin, 0), min(side.stop + margin, size))
            for side, size in zip(box, labels.shape, strict=True)
        )
        here = labels[window] == number
        if part is not None:
            here &= part[window]
        if not here.any():
            continue
        distance = ndimage.distance_transform_edt(~here)
        near, far = d1[window], d2[window]
        np.minimum(far, np.maximum(near, distance), out=far)
        np.minimum(near, distance, out=near)
    return d1, d2


def compact(instances: np.ndarray) -> tuple[np.ndarray, int]:
    """The same objects numbered 1..n without gaps (int32), 0 staying 0; and n."""
    ids, index = np.unique(instances, return_inverse=True)
    index = index.reshape(instances.shape).astype(np.int32)
    if len(ids) and ids[0] == 0:
        return index, len(ids) - 1
    return index + 1, len(ids)
