"""Which part of an image a training tile sees: sizes, places, mirrored margins.

A net of valid convolutions turns an input tile into a smaller output tile, its centre:

    input  [y - b, y - b + H)      b = (H - h) / 2      output  [y, y + h)

Beyond the image's edge the input is the image's mirror image without the edge pixel repeated, as
often as needed (np.pad's "reflect").  Source: the overlap-tile strategy of arXiv 1505.04597.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import DataError


@dataclass(frozen=True)
class Pair:
    """Input and output size of a net, (height, width) each, in pixels."""

    input: tuple[int, int]
    output: tuple[int, int]

    def __post_init__(self) -> None:
        for big, small in zip(self.input, self.output, strict=True):
            if small < 1 or big < small or (big - small) % 2:
                raise DataError(
                    "input and output size of the tiles do not belong together",
                    expected="an output not larger than the input, both even or both odd",
                    found=str(self),
                    remedy="Ask the net for its sizes; the U-Net of 2015 has 572 and 388",
                )

    @property
    def border(self) -> tuple[int, int]:
        """Pixels that the net loses on each side, (y, x)."""
        return (self.input[0] - self.output[0]) // 2, (self.input[1] - self.output[1]) // 2

    @property
    def square(self) -> bool:
        return self.input[0] == self.input[1] and self.output[0] == self.output[1]

    def __str__(self) -> str:
        return f"{_size(self.input)} to {_size(self.output)}"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}" if size[0] == size[1] else f"{size[0]}x{size[1]}"


def cover(shape: tuple[int, int], output: tuple[int, int]) -> list[tuple[int, int]]:
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


def window(array: np.ndarray, start: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """The part (..., *size) of (..., height, width) that begins at `start`, mirrored outside."""
    rows = span(start[0], size[0], array.shape[-2])
    columns = span(start[1], size[1], array.shape[-1])
    return array[..., rows[:, None], columns]


def inside(start: tuple[int, int], size: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """Mask (bool, `size`) of the pixels of a window that lie in the image, not in its mirror."""
    rows = np.arange(start[0], start[0] + size[0])
    columns = np.arange(start[1], start[1] + size[1])
    in_rows = (rows >= 0) & (rows < shape[0])
    in_columns = (columns >= 0) & (columns < shape[1])
    return in_rows[:, None] & in_columns
