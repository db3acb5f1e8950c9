"""Smooth fields from a coarse grid: uniform cubic B-splines.

    u(x) = sum_{k=0..3} b_k(t) c[i + k]        x = (i + t) s,  i = floor(x / s)

    b_0 = (1 - t)^3 / 6             b_1 = (3 t^3 - 6 t^2 + 4) / 6
    b_3 = t^3 / 6                   b_2 = (-3 t^3 + 3 t^2 + 3 t + 1) / 6

separable over the axes; s: voxels between control points c.  The b_k sum to 1, so equal control
points give their value everywhere.  The spline approximates its control points, it does not pass
through them: if these are independent with standard deviation 1, the field's is between 0.46 and
0.50 in a plane (0.48 on average) and 0.33 in a volume.

Source: caffe_unet's src/caffe/layers/create_deformation_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = Any
Sizes = tuple[int, ...]


def grid(size: Sequence[int], spacing: Sequence[int]) -> Sizes:
    """How many control points each axis of a field needs."""
    return tuple(n // s + 4 for n, s in zip(size, spacing, strict=True))


def weights(start: int, stop: int, spacing: int) -> tuple[Array, Array]:
    """For voxels start ... stop - 1 of an axis: the first of their control points (stop - start,),
    and b_0 ... b_3 (4, stop - start), float64."""
    first, rest = np.divmod(np.arange(start, stop), spacing)
    t = rest / spacing
    t2, t3 = t * t, t * t * t
    b = [1 - 3 * t + 3 * t2 - t3, 4 - 6 * t2 + 3 * t3, 1 + 3 * t + 3 * t2 - 3 * t3, t3]
    return first, np.stack(b) / 6


def along(control: Array, axis: int, start: int, stop: int, spacing: int) -> Array:
    """The spline at voxels start ... stop - 1 of one axis, the others left as they are."""
    first, b = weights(start, stop, spacing)
    shape = [1] * control.ndim
    shape[axis] = stop - start
    found = control.take(first, axis) * b[0].reshape(shape)
    for k in (1, 2, 3):
        found += control.take(first + k, axis) * b[k].reshape(shape)
    return found
