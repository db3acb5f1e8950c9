"""Which part of an image a training tile sees: sizes, places, mirrored margins.

A net of valid convolutions turns an input tile into a smaller output tile, its centre:

    input  [y - b, y - b + H)      b = (H - h) / 2      output  [y, y + h)

Beyond the image's edge the input is the image's mirror image without the edge pixel repeated, as
often as needed (np.pad's "reflect").  Source: the overlap-tile strategy of arXiv 1505.04597.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError


@dataclass(frozen=True)
class Pair:
    """Input and output size of a net, (height, width) or (depth, height, width), in pixels."""

    input: tuple[int, ...]
    output: tuple[int, ...]

    def __post_init__(self) -> None:
        fits = len(self.input) == len(self.output) and all(
            1 <= small <= big and (big - small) % 2 == 0
            for big, small in zip(self.input, self.output, strict=True)
        )
        if not fits:
            raise DataError(
                "input and output size of the tiles do not belong together",
                expected="an output not larger than the input, both even or both odd",
                found=str(self),
                remedy="Take both from the net: `demitasse plan NET --input N` prints them; the "
                "U-Net of 2015 has 572 and 388",
            )

    @property
    def border(self) -> tuple[int, ...]:
        """Pixels that the net loses on each side of each axis."""
        return tuple((a - b) // 2 for a, b in zip(self.input, self.output, strict=True))

    @property
    def square(self) -> bool:
        return len(set(self.input)) == len(set(self.output)) == 1

    def __str__(self) -> str:
        return f"{_size(self.input)} to {_size(self.output)}"


def _size(size: tuple[int, ...]) -> str:
    return f"{size[0]}" if len(size) == 2 and size[0] == size[1] else "x".join(map(str, size))


def cover(shape: Sequence[int], output: Sequence[int]) -> list[tuple[int, int]]:
    """First pixels (y, x) of the fewest output tiles that cover the image, spread evenly.

    The first tile starts with the image, the last one ends with it, so neighbours overlap where the
    sizes do not divide.  An image smaller than the tile lies in its middle.
    """
    return [(y, x) for y in _starts(shape[0], output[0]) for x in _starts(shape[1], output[1])]


def _starts(size: int, tile: int) -> list[int]:
    if size <= tile:
        return [-((tile - size) // 2)]
    count = -(-size // tile)
    return [i * (size - tile) // (count - 1) for i in range(count)]


def span(start: int, length: int, size: int) -> np.ndarray:
    """Pixel indices (int64) of [start, start + length) in an axis of `size` pixels, mirrored."""
    return mirror(np.arange(start, start + length), size)


def mirror(index: np.ndarray, size: int) -> np.ndarray:
    """Any indices folded into [0, size) by reflection at the edge pixels' centres."""
    if size == 1:
        return np.zeros_like(index)
    folded = np.mod(index, 2 * size - 2)
    return np.minimum(folded, 2 * size - 2 - folded)


def window(array: np.ndarray, start: Sequence[int], size: Sequence[int]) -> np.ndarray:
    """The part (..., *size) of an array that begins at `start`, mirrored outside."""
    shape = array.shape[-len(size) :]
    spans = [span(*axis) for axis in zip(start, size, shape, strict=True)]
    at: tuple[Any, ...] = (..., *np.ix_(*spans))
    return array[at]


def inside(start: Sequence[int], size: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    """Mask (bool, `size`) of the pixels of a window that lie in the image, not in its mirror."""
    mask = np.zeros(size, bool)
    within = [
        slice(max(-s, 0), max(min(n, length - s), 0))
        for s, n, length in zip(start, size, shape, strict=True)
    ]
    mask[tuple(within)] = True
    return mask


def grid(shape: Sequence[int], output: Sequence[int]) -> list[tuple[int, ...]]:
    """First pixels of the output tiles that lie side by side from the image's first pixel on, in
    reading order; the last ones reach beyond the image."""
    return list(
        itertools.product(*(range(0, n, tile) for n, tile in zip(shape, output, strict=True)))
    )
