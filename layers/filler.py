"""Fillers: the first values of a parameter.

    constant           x = value                                    (the default, with value 0)
    uniform            x ~ U(min, max)
    gaussian           x ~ N(mean, std); with sparse = s, kept with probability s / shape[0], else 0
    xavier             x ~ U(-sqrt(3/n), sqrt(3/n))
    msra               x ~ N(0, sqrt(2/n))
    positive_unitball  x ~ U(0, 1), then every slice of axis 0 divided by its sum
    bilinear           x[.., i, j] = (1 - |i/f - c|) (1 - |j/f - c|),  f = ceil(w/2), c = (w-1)/(2f)

    n = fan_in = size / shape[0] (default), fan_out = size / shape[1], or their mean

A Deconvolution's weights are (in, out / group, h, w), so its "fan_in" counts its outputs.
In the Caffe of the U-Net's authors (2015) xavier was msra; `caffe_unet_2015` makes it so here.
Values are drawn in double and in order, so a float32 and a float64 net start from the same ones.

Source: Caffe's include/caffe/filler.hpp, and that of u-net-release-2015-10-02; the streams differ
(Caffe: one global mt19937).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ShapeError, SpecError, did_you_mean
from .base import Array, Shape
from .sizes import times

_STEP = 1 << 18  # elements drawn at once: keeps the doubles in the cache

FAN_IN, FAN_OUT, AVERAGE = 0, 1, 2


def fill(
    array: Array,
    filler: Any,
    rng: np.random.Generator,
    *,
    where: str = "",
    caffe_unet_2015: bool = False,
) -> None:
    """Write a C-contiguous array as a FillerParameter message says; where: for messages.

    A filler may also be an array of that shape: the values themselves (Python layers).
    caffe_unet_2015: xavier means N(0, sqrt(2/n)), as in the Caffe that trained the U-Net.
    """
    if isinstance(filler, np.ndarray):
        array[...] = filler
        return
    check(array.shape, filler, where=where)
    kind = "msra" if caffe_unet_2015 and filler.type == "xavier" else filler.type
    FILLERS[kind](array, filler, rng)


def check(shape: Shape, filler: Any, *, where: str = "") -> None:
    """Raise SpecError or ShapeError where `fill` could not fill an array of this shape."""
    kind = filler.type
    if kind not in FILLERS:
        raise SpecError(
            f"unknown filler type '{kind}'",
            where=where,
            remedy=f"{did_you_mean(kind, FILLERS)} Known fillers: {', '.join(FILLERS)}".strip(),
        )
    if 0 in shape:
        raise ShapeError("a filler has nothing to fill", where=where, found=f"shape {times(shape)}")
    if filler.sparse >= 0 and kind != "gaussian":
        raise SpecError(
            f"filler '{kind}' cannot be sparse",
            where=where,
            remedy="Only the gaussian filler knows 'sparse'",
        )
    if kind == "gaussian":
        if not filler.std > 0:
            raise SpecError("filler 'gaussian' wants a positive std", where=where, found=filler.std)
        if filler.sparse > (shape[0] if shape else 1):
            raise SpecError(
                "filler 'gaussian': more values are to be kept than there are outputs",
                where=where,
                expected=f"sparse at most {shape[0] if shape else 1}",
                found=filler.sparse,
            )
    if kind == "uniform" and filler.min > filler.max:
        raise SpecError(
            "filler 'uniform' wants min <= max",
            where=where,
            found=f"min {filler.min}, max {filler.max}",
        )
    if kind == "bilinear" and (len(shape) != 4 or shape[2] != shape[3]):
        raise SpecError(
            "filler 'bilinear' is for square two-dimensional kernels",
            where=where,
            expected="a shape n x c x w x w",
            found=times(shape),
        )


def fan(shape: Shape, variance_norm: int) -> float:
    """The n by which xavier and msra scale."""
    count = math.prod(shape)
    fan_in = count / (shape[0] if shape else 1)
    fan_out = count / shape[1] if len(shape) > 1 else count
    return {FAN_IN: fan_in, FAN_OUT: fan_out, AVERAGE: (fan_in + fan_out) / 2}[variance_norm]


def _draw(array: Array, draw: Callable[[int], Any]) -> None:
    flat = array.reshape(-1)
    for start in range(0, flat.size, _STEP):
        part = flat[start : start + _STEP]
        part[...] = draw(part.size)


def _constant(array: Array, filler: Any, rng: np.random.Generator) -> None:
    array[...] = filler.value


def _uniform(array: Array, filler: Any, rng: np.random.Generator) -> None:
    _draw(array, lambda size: rng.uniform(filler.min, filler.max, size))


def _gaussian(array: Array, filler: Any, rng: np.random.Generator) -> None:
    _draw(array, lambda size: rng.normal(filler.mean, filler.std, size))
    if filler.sparse >= 0:
        keep = filler.sparse / (array.shape[0] if array.ndim else 1)
        array *= rng.random(array.shape) < keep


def _xavier(array: Array, filler: Any, rng: np.random.Generator) -> None:
    bound = math.sqrt(3 / fan(array.shape, filler.variance_norm))
    _draw(array, lambda size: rng.uniform(-bound, bound, size))


def _msra(array: Array, filler: Any, rng: np.random.Generator) -> None:
    std = math.sqrt(2 / fan(array.shape, filler.variance_norm))
    _draw(array, lambda size: rng.normal(0, std, size))


def _positive_unitball(array: Array, filler: Any, rng: np.random.Generator) -> None:
    _draw(array, rng.random)
    rows = array.reshape(array.shape[0] if array.ndim else 1, -1)
    rows /= rows.sum(axis=1, keepdims=True)


def _bilinear(array: Array, filler: Any, rng: np.random.Generator) -> None:
    width = array.shape[3]
    f = math.ceil(width / 2)
    c = (width - 1) / (2 * f)
    hat = 1 - np.abs(np.arange(width) / f - c)
    array[...] = np.outer(hat, hat)  # every slice, also between different channels: as Caffe


FILLERS: dict[str, Callable[[Array, Any, np.random.Generator], None]] = {
    "constant": _constant,
    "uniform": _uniform,
    "gaussian": _gaussian,
    "xavier": _xavier,
    "msra": _msra,
    "positive_unitball": _positive_unitball,
    "bilinear": _bilinear,
}
