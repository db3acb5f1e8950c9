"""Windows that slide over the spatial axes of an array, and the matrix of what they see.

    im2col   col[.., k, o] = x[.., s o - p + d k]                  (0 outside x)
    col2im   x[.., s o - p + d k] += col[.., k, o]                 (dropped outside x)

k runs over the kernel, o over the outputs of a box; s, p, d: stride, pad, dilation of each axis.
Any number of leading axes, of spatial axes, and any dtype.  As a matrix, the rows of col are
ordered (channel, kernel position) and its columns are the outputs, both row-major.

Source: Caffe's src/caffe/util/im2col.cpp.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np

Array = Any
Sizes = tuple[int, ...]
Box = tuple[tuple[int, int], ...]  # a part of the outputs: (first, end) on each spatial axis


class Window(NamedTuple):
    """Kernel size, stride, padding and dilation of each spatial axis."""

    kernel: Sizes
    stride: Sizes
    pad: Sizes
    dilation: Sizes

    @property
    def extent(self) -> Sizes:
        """How much input one window spans: d (k - 1) + 1."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def volume(self) -> int:
        return prod(self.kernel)

    @property
    def pointwise(self) -> bool:
        """Every window is one element, and every element one window: im2col is the identity."""
        return self.volume == 1 and set(self.stride) <= {1} and not any(self.pad)

    @property
    def tiling(self) -> bool:
        """Windows neither overlap nor leave gaps nor stick out."""
        return self.extent == self.kernel == self.stride and not any(self.pad)

    def outputs(self, size: Sizes) -> Sizes:
        """How many windows fit: (size + 2 p - extent) // s + 1; below 1 where none does."""
        return tuple(
            (n + 2 * p - e) // s + 1
            for n, p, e, s in zip(size, self.pad, self.extent, self.stride, strict=True)
        )

    def inputs(self, size: Sizes) -> Sizes:
        """The input that `size` windows cover exactly: s (size - 1) + extent - 2 p."""
        return tuple(
            s * (n - 1) + e - 2 * p
            for n, p, e, s in zip(size, self.pad, self.extent, self.stride, strict=True)
        )


def views(
    window: Window, offset: Sizes, size: Sizes, box: Box
) -> tuple[tuple[slice, ...], tuple[slice, ...]] | None:
    """Where the kernel position `offset` reads for the outputs of a box, as two sets of slices.

    The first is into an input of `size`, the second into the box: only the outputs there read
    inside the input.  None if no output does.
    """
    source, target = [], []
    for k, n, (first, end), s, p, d in zip(
        offset, size, box, window.stride, window.pad, window.dilation, strict=True
    ):
        start = d * k - p  # output o reads start + s o
        low = max(first, -(start // s))
        high = min(end, (n - 1 - start) // s + 1)
        if low >= high:
            return None
        source.append(slice(start + s * low, start + s * (high - 1) + 1, s))
        target.append(slice(low - first, high - first))
    return tuple(source), tuple(target)


def im2col(x: Array, window: Window, box: Box, col: Array) -> None:
    """Write col (.., *kernel, *box) from x (.., *size)."""
    size = x.shape[-len(box) :]
    for offset in np.ndindex(*window.kernel):
        part = col[(..., *offset, *(slice(None),) * len(box))]
        found = views(window, offset, size, box)
        if found is None:
            part[...] = 0
            continue
        source, target = found
        inside: tuple[slice, ...] = ()
        for axis, (first, end) in enumerate(box):  # the borders that read padding
            rest = (slice(None),) * (len(box) - axis - 1)
            for border in (slice(0, target[axis].start), slice(target[axis].stop, end - first)):
                if border.start < border.stop:
                    part[(..., *inside, border, *rest)] = 0
            inside += (target[axis],)
        part[(..., *target)] = x[(..., *source)]


def col2im(col: Array, window: Window, box: Box, x: Array) -> None:
    """Add col (.., *kernel, *box) to x (.., *size), where im2col would have read it."""
    size = x.shape[-len(box) :]
    for offset in np.ndindex(*window.kernel):
        found = views(window, offset, size, box)
        if found is not None:
            source, target = found
            part = x[(..., *source)]
            part += col[(..., *offset, *target)]


def boxes(outputs: Sizes, limit: int) -> Iterator[Box]:
    """Cut outputs into boxes of about equal size, each at most `limit` elements (at least one).

    Every box is one run of the flattened outputs: axes before the cut one have a single index.
    """
    inner = prod(outputs[1:])
    if limit >= inner or len(outputs) == 1:
        for rows in pieces(outputs[0], limit // inner):
            yield (rows, *((0, n) for n in outputs[1:]))
    else:
        for row in range(outputs[0]):
            for rest in boxes(outputs[1:], limit):
                yield ((row, row + 1), *rest)


def run(outputs: Sizes, box: Box) -> slice:
    """Which run of the flattened outputs a box of `boxes` is."""
    first = 0
    for n, (start, _) in zip(outputs, box, strict=True):
        first = first * n + start
    return slice(first, first + prod(end - start for start, end in box))


def pieces(total: int, limit: int) -> Iterator[tuple[int, int]]:
    """Cut range(total) into the fewest (first, end) of at most `limit`, all about as long."""
    count = -(-total // max(1, min(limit, total)))
    for i in range(count):
        yield total * i // count, total * (i + 1) // count
