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
from .workers import MOST, Room

# Maps are cut where U has few elements: always up to SMALL of a tile, up to LARGE where there are
# many tiles for so large a U (MANY of the transforms for each element).
SMALL, LARGE = 64 * 128, 128 * 256
FEW, EACH = 64, 256  # tiles of a block: so many, and one for so many elements of a tile of U
LANES = 5_000_000  # elements of all lanes' dU together
GAP = 48  # elements between the 36 of U, V: at multiples of 4 KiB they would share cache lines
CHANNELS = 64  # channels of U at a time
WHOLE, INPUTS = 16, 32  # of the whole U, of V


@cache
def transforms() -> ModuleType:
    """The compiled transforms, or NumPy's."""
    try:
        from . import tiles_numba as found
    except ImportError:
        from . import tiles_numpy as found  # type: ignore[no-redef]
    return found


class Cut(NamedTuple):
    """maps: which scheme; rows: tile rows at a time; lanes (maps) of the backward pass."""

    maps: bool
    rows: int
    lanes: int


def cut(x: Sizes, w: Sizes, y: Sizes, room: Room) -> Cut:
    """How a layer of these shapes is cut, so that its scratch for MOST threads stays within the
    budget."""
    made, shape, (k, c), threads = transforms(), Tiling(x, w, y), w[:2], MOST
    each = 36 * k * c
    if k * c <= SMALL or k * c <= min(LARGE, shape.down * shape.across / made.MANY):
        few = max(FEW, k * c // EACH)
        rows = max(made.BLOCK // (36 * (k + c) * shape.across), -(-few // shape.across))
        if shape.down * shape.across >= 2 * few:
            rows = min(rows, -(-shape.down // 2))  # a part for each of two threads
        rows = min(rows, shape.down)
        lanes = max(2, min(LANES // each, 8))
        if _maps_size(w, shape, rows, lanes, threads) <= room.budget:
            return Cut(True, rows, lanes)
    rows = shape.down
    while rows > 1 and _channels_size(w, shape, rows, threads) > room.budget:
        rows = -(-rows // 2)
    return Cut(False, rows, 0)


def scratch_size(x: Sizes, w: Sizes, y: Sizes, room: Room) -> int:
    """Elements of scratch for arrays of these shapes."""
    shape, how = Tiling(x, w, y), cut(x, w, y, room)
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
    (k, c), cells = w[:2], rows * shape.across
    made = transforms()
    each = apart_size(k, int(made.whole(c)))
    slot = work_size(w, shape.across, rows) + int(made.spare_size(k, c))
    slot += 2 * panels_size(max(k, c), cells)
    carry = 12 * c * int(made.whole(shape.across))
    return each + k + threads * slot + lanes * (each + carry + k)


def _channels_size(w: Sizes, shape: Tiling, rows: int, threads: int) -> int:
    (k, c), cells = w[:2], rows * shape.across
    slot = work_size(w, shape.across, rows) + slot_size(w, cells)
    carry = 12 * c * int(transforms().whole(shape.across))
    return panels_size(c, cells) + panels_size(k, cells) + carry + k + threads * slot


def slot_size(w: Sizes, cells: int) -> int:
    """Of one thread: some channels of U, and of M or dV; or of dU."""
    made, (k, c) = transforms(), w[:2]
    some, deep = min(CHANNELS, max(k, c)), max(summed(n, cells) for n in (k, c))
    factors = apart_size(some, deep) + apart_size(some, int(made.whole(cells)))
    return max(factors, apart_size(k, int(made.whole(min(c, made.COLUMNS)))))


def summed(channels: int, cells: int) -> int:
    """How many of these channels are summed at a time.

    U is written and read once, M once for each such part: where U is far larger than M it is made
    part by part, and stays in the cache.
    """
    return min(channels, transforms().DEEP) if channels > 2 * cells else channels


def work_size(w: Sizes, across: int, rows: int) -> int:
    """Of any transform, in whole cache lines, so that what follows lies as vectors want it."""
    return -(-int(transforms().work_size(max(w[:2]), rows, across)) // 16) * 16


class Tiling:
    """How many tiles lie across and down an image of y, and the images."""

    def __init__(self, x: Sizes, w: Sizes, y: Sizes) -> None:
        self.images, self.down, self.across = y[0], -(-y[2] // 4), -(-y[3] // 4)

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


def panels_size(channels: int, cells: int) -> int:
    """Elements of V, or D, as it is multiplied."""
    return apart_size(*transforms().panels_shape(channels, cells)[1:])


def apart_size(*shape: int) -> int:
    """Elements of 36 of such a shape, and of the gaps behind them."""
    return 36 * (prod(shape) + GAP)


def view(buffer: Array, *shape: int) -> Array:
    return buffer.reshape(-1)[: prod(shape)].reshape(shape)


def split(buffer: Array, *shape: int) -> tuple[Array, Array]:
    """Of a flat buffer, and what is left of it."""
    return view(buffer, *shape), buffer[prod(shape) :]


def apart(buffer: Array, *shape: int) -> Array:
    """The same with a gap behind each of the first axis."""
    far = prod(shape[1:]) + GAP
    return view(buffer, shape[0], far)[:, : far - GAP].reshape(shape)
