"""Arrays in flat strips, as long as the scratch beside them.

An element-wise formula with an intermediate value goes over its arrays strip by strip: the
intermediate stays in the cache, and no array of the blob's size is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

Array = Any

LENGTH = 1 << 14  # elements: an input, an output and the scratch fit into a 256 KiB cache


def length(count: int, most: int | None = LENGTH) -> int:
    """Elements of scratch to ask for when arrays of `count` elements are to be worked on, at most
    that many at a time."""
    return count if most is None else min(count, most)


def rows(width: int) -> int:
    """How many rows of `width` elements to work on together, where rows must stay whole."""
    return max(1, LENGTH // max(1, width))


def carve(scratch: Array, *shapes: tuple[int, ...]) -> Iterator[Array]:
    """Parts of the scratch, one behind the other; a shape of (-1,) takes all the rest."""
    start = 0
    for shape in shapes:
        stop = scratch.size if shape == (-1,) else start + math.prod(shape)
        yield scratch[start:stop].reshape(shape)
        start = stop


def strips(scratch: Array, *arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Flat views (part of the scratch, part of each array) of C-contiguous arrays of one size."""
    flat = [array.reshape(-1) for array in arrays]
    step = max(1, scratch.size)
    for start in range(0, flat[0].size, step):
        parts = [array[start : start + step] for array in flat]
        yield scratch[: parts[0].size], *parts
