"""How arrays lie in memory, and the records that tell kernels; geometry.cuh says what they mean.

    correlation   y[n, m, o] from x[n, c, s o - p + d k]: a convolution
    transposed    y[n, m, i] from x[n, c, (i + p - d k) / s], where there is no rest: the other way
    painting      the same where windows tile y: a product with a column for each of their elements

The first and the last two make each other's gradient.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from ...errors import DeviceError
from ..im2col import Array, Sizes, Window
from .launch import address

AXES = 3
MOST_PIXELS = 2**31 - 2**16  # of an array: kernels count them as int, and a little beyond the last

GEOMETRY = np.dtype(
    [
        *((name, np.int32) for name in ("pixels", "channels", "outputs", "groups")),
        *((name, np.int32) for name in ("taps", "reduction", "columns", "splits")),
        *((name, np.int32) for name in ("biased", "paired", "plain", "cut")),
        ("slope", np.float32),
        *((name, np.int32, AXES) for name in ("in", "out", "kernel", "spread")),
        *((name, np.int32, AXES) for name in ("step", "tap", "shift", "divide")),
        *((name, np.int64) for name in ("x_image", "x_channel")),
        ("x_axis", np.int64, AXES),
        *((name, np.int64) for name in ("y_image", "y_channel")),
        *((name, np.int64, AXES) for name in ("y_axis", "y_tap")),
    ],
    align=True,
)


class Layout(NamedTuple):
    """Shape (N, C, *S) and strides in elements; S has three axes, those that are not there first.

    aligned: of how many bytes the first element's address is a multiple (16, 8 or 4).
    """

    images: int
    channels: int
    size: Sizes
    image: int
    channel: int
    axis: Sizes
    aligned: int

    @property
    def pixels(self) -> int:
        """As many as kernels count: larger arrays are planned, which shows that they do not fit."""
        return min(self.images * prod(self.size), MOST_PIXELS)

    def wide(self, count: int, group: int = 1) -> bool:
        """Whether `count` neighbouring channels are aligned as one word, everywhere."""
        return (
            self.channel == 1
            and self.channels // group % count == 0
            and self.aligned % (4 * count) == 0
            and all(
                stride % count == 0
                for n, stride in zip(
                    (self.images, *self.size), (self.image, *self.axis), strict=True
                )
                if n > 1
            )
        )

    @property
    def span(self) -> int:
        """Elements from the first to the last."""
        sizes = (self.images, self.channels, *self.size)
        strides = (self.image, self.channel, *self.axis)
        return 1 + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))


def layout(array: Array) -> Layout:
    """How (N, C, *S) lies in memory; DeviceError where it has more pixels than kernels count.

    The stride of an axis of one element is 0: padding steps beside it, and it may be no multiple
    of what the others are.
    """
    if (pixels := array.shape[0] * prod(array.shape[2:])) > MOST_PIXELS:
        raise DeviceError(
            f"a GPU convolves up to {MOST_PIXELS} places at a time",
            found=f"{pixels}",
            remedy="Take smaller tiles or a smaller batch",
        )
    where, item = address(array), array.itemsize
    image, channel, *axis = (
        stride // item if n > 1 else 0 for n, stride in zip(array.shape, array.strides, strict=True)
    )
    missing = AXES - len(axis)
    size = (1,) * missing + tuple(array.shape[2:])
    return Layout(
        array.shape[0],
        array.shape[1],
        size,
        image,
        channel,
        (0,) * missing + tuple(axis),
        next(n for n in (16, 8, 4) if where % n == 0),
    )


def nominal(shape: Sizes, wide: bool) -> Layout:
    """Of an array of a device's own making, channels last; or of one that allows no wide reads."""
    missing = AXES - len(shape[2:])
    size = (1,) * missing + shape[2:]
    axis = tuple(shape[1] * prod(size[a + 1 :]) for a in range(AXES))
    return Layout(
        shape[0], shape[1], size, shape[1] * prod(size), 1, axis, aligned=16 if wide else 4
    )


def padded(window: Window) -> Window:
    """The same window over three axes."""
    missing = AXES - len(window.kernel)
    return Window(
        (1,) * missing + window.kernel,
        (1,) * missing + window.stride,
        (0,) * missing + window.pad,
        (1,) * missing + window.dilation,
    )


def correlation(x: Layout, y: Layout, window: Window, group: int) -> Any:
    """The record of a correlation, strides included; what depends on the kernel is left zero."""
    record = _common(x, y, window, group)
    record["step"], record["tap"], record["divide"] = window.stride, window.dilation, 1
    record["shift"] = [-p for p in window.pad]
    covered = window.inputs(y.size)  # from -pad on; more than x has only if somebody lied
    record["plain"] = not any(window.pad) and all(
        c <= n for c, n in zip(covered, x.size, strict=True)
    )
    return record


def transposed(x: Layout, y: Layout, window: Window, group: int) -> Any:
    """The record of the other way: from what a correlation makes to what it reads."""
    record = _common(x, y, window, group)
    record["step"], record["divide"] = 1, window.stride
    record["tap"], record["shift"] = [-d for d in window.dilation], window.pad
    record["plain"] = window.pointwise
    return record


def painting(x: Layout, y: Layout, window: Window, group: int) -> Any:
    """The record of the other way where windows tile y."""
    one = (1,) * AXES
    record = _common(x, y._replace(size=x.size), Window(one, one, (0,) * AXES, one), group)
    record["step"] = record["tap"] = record["divide"] = 1
    record["plain"] = True
    record["outputs"] *= window.volume
    record["spread"], record["y_tap"] = window.kernel, y.axis
    record["y_axis"] = [s * stride for s, stride in zip(window.stride, y.axis, strict=True)]
    return record


def _common(x: Layout, y: Layout, window: Window, group: int) -> Any:
    record = np.zeros(1, GEOMETRY)
    record["pixels"], record["groups"] = y.pixels, group
    record["channels"] = x.channels // group
    record["outputs"] = record["columns"] = y.channels // group
    record["taps"], record["kernel"], record["spread"] = window.volume, window.kernel, 1
    record["in"], record["out"] = x.size, y.size
    record["splits"], record["slope"] = 1, 1
    record["x_image"], record["x_channel"], record["x_axis"] = x.image, x.channel, x.axis
    record["y_image"], record["y_channel"], record["y_axis"] = y.image, y.channel, y.axis
    return record
