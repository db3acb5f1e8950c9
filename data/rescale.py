"""Images brought to another physical pixel size, as caffe_unet's plugin does it.

    s = pixel size now / pixel size wanted        new size = floor(s n + 1/2), at least 1
    linear    y[i] = (1 - f) x[floor(i / s)] + f x[floor(i / s) + 1],    f = i / s mod 1
    nearest   y[i] = x[floor(i / s + 1/2)]

along each axis: the first pixels lie on each other, and beyond the last one the image is its mirror
image.  Nothing is smoothed before an image is made smaller.

Source: TrainingSample.rescaleXY and Blob.rescale of lmb-freiburg/Unet-Segmentation, commit 870e5036
(in whose rescaleZ the last slice of an image is taken for one outside: not here).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import DataError
from .crops import mirror

Scale = tuple[float, ...]


def scale(now: Sequence[float], wanted: Sequence[float]) -> Scale:
    """s of each axis; DataError where the sizes are not positive numbers, one for each axis."""
    for sizes in (now, wanted):
        if not all(math.isfinite(s) and s > 0 for s in sizes) or len(sizes) != len(now):
            raise DataError(
                "a pixel size is no size",
                expected=f"{len(now)} numbers above 0",
                found=" x ".join(f"{s:g}" for s in sizes),
            )
    return tuple(a / b for a, b in zip(now, wanted, strict=True))


def new_shape(shape: Sequence[int], scale: Scale) -> tuple[int, ...]:
    """The size (len(scale) axes) that an image of `shape` will have."""
    return tuple(max(1, math.floor(s * n + 0.5)) for n, s in zip(shape, scale, strict=True))


def linear(image: np.ndarray, scale: Scale) -> np.ndarray:
    """The image (..., *shape) at the new size: float32, wider types float64; itself at scale 1.

    A pixel that is not finite makes those not finite that are interpolated from it, and no others.
    """
    for axis, s in enumerate(scale, start=image.ndim - len(scale)):
        if s != 1:
            size = new_shape((image.shape[axis],), (s,))[0]
            image = between(image, axis, np.arange(size) / s)
    return image


def place(position: Sequence[float], scale: Scale) -> tuple[int, ...]:
    """The pixel of the new image that is nearest to a place in the image."""
    return tuple(math.floor(s * p + 0.5) for p, s in zip(position, scale, strict=True))


def between(array: np.ndarray, axis: int, places: np.ndarray) -> np.ndarray:
    """Values at any places t >= 0 between the entries along an axis, which go on mirrored; at a
    whole place nothing but the entry there counts.  float32, of wider types float64."""
    n = array.shape[axis]
    first = np.floor(places).astype(np.int64)
    part = (places - first).astype(_work(array.dtype))
    low, high = mirror(first, n), mirror(first + 1, n)
    high = np.where(part == 0, low, high)
    part = part.reshape(-1, *(1,) * (array.ndim - 1 - axis))
    with np.errstate(invalid="ignore"):
        mixed: np.ndarray = (1 - part) * array.take(low, axis) + part * array.take(high, axis)
    return mixed


def nearest(labels: np.ndarray, scale: Scale) -> np.ndarray:
    """The label image (..., *shape) at the new size, values and type as they are."""
    for axis, s in enumerate(scale, start=labels.ndim - len(scale)):
        if s == 1:
            continue
        size = labels.shape[axis]
        where = np.arange(new_shape((size,), (s,))[0]) / s
        labels = labels.take(mirror(np.floor(where + 0.5).astype(np.int64), size), axis)
    return labels


def _work(dtype: np.dtype) -> type:
    """float32 holds 16-bit integers exactly; wider types would lose digits."""
    return np.float32 if dtype.itemsize <= 2 or dtype == np.float32 else np.float64
