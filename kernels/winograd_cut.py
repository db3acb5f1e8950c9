"""How a layer is cut for Winograd's algorithm (kernels/winograd.py), and what scratch that takes.

From shapes alone, so that results are alike for any number of threads.
"""

from __future__ import annotations

from functools import cache
from itertools import groupby, pairwise
from math import prod
from types import ModuleType
from typing import NamedTuple

import numpy as np

from .im2col import Array, Sizes
from .optional import optional
from .workers import MOST, Room

# Maps are cut where there are few weights: always up to SMALL (without the 9 of a window), up to
# LARGE where y is large for so many (MANY pixels, of the transforms, for each).
SMALL, LARGE = 64 * 128, 128 * 256
FEW, EACH = 1024, 256  # of a block: so many pixels, and a tile for so many elements of one of U
LANES = 5_000_000  # elements of all lanes' dU together
BACK = 4  # pixels along a tile of the backward pass; of the forward pass: see `best_tile`
ONE = 8  # an element of U takes as long to make as its products with so many tiles
GAP = 48  # elements between the 36 of U, V: at multiples of 4 KiB they would share cache lines
CHANNELS = 64  # channels of U at a time
WHOLE, INPUTS = 16, 32  # of the whole U, of V


@cache
def transforms() -> ModuleType:
    """The compiled transforms, or NumPy's."""
    made = optional("tiles_numba")
    if made is not None:
        return made
    from . import tiles_numpy

    return tiles_numpy


class Cut(NamedTuple):
    """maps: which scheme; rows: tile rows at a time; lanes (maps) of the backward pass."""

    maps: bool
    rows: int
    lanes: int


def best_tile(y: Sizes, most: int) -> int:
    """Pixels along a tile of the forward pass: 6, if that may be, where it saves enough work."""

    def work(tile: int) -> int:
        tiles = int(transforms().whole(prod(-(-n // tile) for n in y[2:])))
        return elements(tile) * (tiles + ONE)

    return 6 if most >= 6 and work(6) < transforms().SIX * work(4) else 4


def elements(tile: int) -> int:
    """Of a transformed tile."""
    return (tile + 2) ** 2


def cut(w: Sizes, shape: Tiling, room: Room) -> Cut:
    """How a layer of these shapes is cut, so that its scratch for MOST threads stays within the
    budget."""
    made, (k, c), threads, of = transforms(), w[:2], MOST, elements(shape.tile)
    pixels = shape.down * shape.across * shape.tile**2
    if k * c <= SMALL or k * c <= min(LARGE, pixels / made.MANY):
        few = max(FEW // shape.tile**2, k * c // EACH)
        rows = max(made.BLOCK // (of * (k + c) * shape.across), -(-few // shape.across), 1)
        if shape.down * shape.across >= 2 * few:
            rows = min(rows, -(-shape.down // 2))  # a part for each of two threads
        rows = min(rows, shape.down)
        lanes = max(2, min(LANES // (of * k * c), 8))
        if _maps_size(w, shape, rows, lanes, threads) <= room.budget:
            return Cut(True, rows, lanes)
    rows = shape.down
    while rows > 1 and _channels_size(w, shape, rows, threads) > room.budget:
        rows = -(-rows // 2)
    return Cut(False, rows, 0)


def scratch_size(w: Sizes, y: Sizes, most: int, room: Room) -> int:
    """Elements of scratch for arrays of these shapes."""
    return max(_size(w, Tiling(y, tile), room) for tile in {BACK, best_tile(y, most)})


def _size(w: Sizes, shape: Tiling, room: Room) -> int:
    how = cut(w, shape, room)
    crew = crew_size(w, shape, how, room.threads)
    if how.maps:
        return _maps_size(w, shape, how.rows, how.lanes, crew)
    return _channels_size(w, shape, how.rows, crew)


def crew_size(w: Sizes, shape: Tiling, how: Cut, threads: int) -> int:
    """How many threads ever have a task: of the others none needs scratch."""
    if how.maps:
        return min(threads, max(len(shape.blocks(how)), -(-w[0] // WHOLE)))
    return min(threads, max(-(-w[0] // CHANNELS), -(-w[1] // INPUTS)))


def _maps_size(w: Sizes, shape: Tiling, rows: int, lanes: int, threads: int) -> int:
    (k, c), cells, tile = w[:2], rows * shape.across, shape.tile
    made = transforms()
    each = apart_size(tile, k, int(made.whole(c)))
    slot = work_size(w, shape, rows) + 2 * panels_size(max(k, c), cells, tile)
    if tile != BACK:
        return each + k + threads * slot
    slot += int(made.spare_size(k, c))
    carry = 12 * c * int(made.whole(shape.across))
    return each + k + threads * slot + lanes * (each + carry + k)


def _channels_size(w: Sizes, shape: Tiling, rows: int, threads: int) -> int:
    (k, c), cells, tile = w[:2], rows * shape.across, shape.tile
    slot = work_size(w, shape, rows) + slot_size(w, cells, tile)
    if tile != BACK:
        return panels_size(c, cells, tile) + k + threads * slot
    carry = 12 * c * int(transforms().whole(shape.across))
    panels = panels_size(c, cells, tile) + panels_size(k, cells, tile)
    return panels + carry + k + threads * slot


def slot_size(w: Sizes, cells: int, tile: int) -> int:
    """Of one thread: some channels of U, and of M or dV; or of dU."""
    made, (k, c) = transforms(), w[:2]
    some, deep = min(CHANNELS, max(k, c)), max(summed(n, cells) for n in (k, c))
    factors = apart_size(tile, some, deep) + apart_size(tile, some, int(made.whole(cells)))
    if tile != BACK:
        return factors
    return max(factors, apart_size(tile, k, int(made.whole(min(c, made.COLUMNS)))))


def summed(channels: int, cells: int) -> int:
    """How many of these channels are summed at a time.

    U is written and read once, M once for each such part: where U is far larger than M it is made
    part by part, and stays in the cache.
    """
    return min(channels, transforms().DEEP) if channels > 2 * cells else channels


def work_size(w: Sizes, shape: Tiling, rows: int) -> int:
    """Of any transform, in whole cache lines, so that what follows lies as vectors want it."""
    most = int(transforms().work_size(max(w[:2]), rows, shape.across, shape.tile))
    return -(-most // 16) * 16


class Tiling:
    """How many tiles of so many pixels lie across and down an image of y, and the images."""

    def __init__(self, y: Sizes, tile: int) -> None:
        self.images, self.tile = y[0], tile
        self.down, self.across = (-(-n // tile) for n in y[2:])

    def blocks(self, how: Cut) -> list[tuple[int, int, int]]:
        """(image, first tile row, tile rows) of at most how.rows, nearly alike; of maps an even
        number."""
        count = -(-self.down // how.rows)
        cuts = _shares(self.down, count + (how.maps and count > 1 and count % 2))
        return [(n, r, end - r) for n in range(self.images) for r, end in cuts]

    def lanes(self, how: Cut) -> list[list[tuple[int, int, int]]]:
        """The blocks as at most how.lanes runs, nearly alike."""
        blocks = self.blocks(how)
        return [blocks[a:b] for a, b in _shares(len(blocks), how.lanes)]


def _shares(count: int, parts: int) -> list[tuple[int, int]]:
    """Where so many parts of `count` things begin and end; the first ones have one more."""
    each, more = divmod(count, parts)
    starts = [i * each + min(i, more) for i in range(parts + 1)]
    return [(a, b) for a, b in pairwise(starts) if a < b]


def rows_of(block: tuple[int, int, int]) -> int:
    return block[2]


def alike(blocks: list[tuple[int, int, int]]) -> list[tuple[int, Array]]:
    """Runs of blocks of the same tile rows: (rows, [image, first tile row] of each)."""
    runs = [(rows, list(run)) for rows, run in groupby(blocks, key=rows_of)]
    return [(rows, np.array([block[:2] for block in run], np.int64)) for rows, run in runs]


def panels_size(channels: int, cells: int, tile: int) -> int:
    """Elements of V, or D, as it is multiplied."""
    return apart_size(tile, *transforms().panels_shape(channels, cells, tile)[1:])


def apart_size(tile: int, *shape: int) -> int:
    """Elements of as many of such a shape as a tile has elements, and of the gaps behind them."""
    return elements(tile) * (prod(shape) + GAP)


def view(buffer: Array, *shape: int) -> Array:
    return buffer.reshape(-1)[: prod(shape)].reshape(shape)


def split(buffer: Array, *shape: int) -> tuple[Array, Array]:
    """Of a flat buffer, and what is left of it."""
    return view(buffer, *shape), buffer[prod(shape) :]


def apart(buffer: Array, *shape: int) -> Array:
    """The same with a gap behind each of the first axis."""
    far = prod(shape[1:]) + GAP
    return view(buffer, shape[0], far)[:, : far - GAP].reshape(shape)
