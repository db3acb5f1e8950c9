"""3x3 convolution of stride 1 by Winograd's F(4x4, 3x3): four times fewer products.

The output is cut into tiles of 4x4, each made from 6x6 of the input (d; tiles overlap by two):

    forward    U = G g G^T    V = B^T d B    M[k, t] = sum_c U[k, c] V[c, t]    y = A^T M A + b
    backward   D = A dy A^T   dU[k, c] = sum_t D[k, t] V[c, t]                  dg += G^T dU G
                              dV[c, t] = sum_k U[k, c] D[k, t]                  dd = B dV B^T

Each sum is 36 matrix products, one for each element of a 6x6 tile.  The backward pass is the
transposed algorithm: one transform of dy serves both gradients.  A rectifier that follows the
convolution is a factor on the way: y times slope where negative, dy times slope where y <= 0.

How a layer is cut (`cut`) depends on its shapes alone:

    maps       few channels, large maps.  Some rows of tiles at a time, all channels; the whole U.
               Backward, a lane is a run of tile rows with its own dU; lanes are added in order.
               Threads share blocks without meeting: each makes all of its own in one call.
    channels   many channels, small maps.  V (and D) of the whole image, or of a band of it; then
               some channels of U at a time, so that U is never whole.

float32 only; error at most 3e-5 of the largest output (1e-5 where im2col has 1e-6).  The transforms
are those of kernels/tiles_numba.py, or of kernels/tiles_numpy.py where Numba is not installed.

Source: A. Lavin, S. Gray, Fast Algorithms for Convolutional Neural Networks (arXiv:1509.09308).
"""

from __future__ import annotations

from functools import cache
from itertools import groupby, pairwise
from math import prod
from types import ModuleType
from typing import NamedTuple

import numpy as np

from .im2col import Array, Sizes, Window, pieces
from .workers import MOST, Room, Taker, Workers

# Maps are cut where U has few elements: always up to SMALL of a tile, up to LARGE where there are
# many tiles for so large a U.
SMALL, LARGE, MANY = 64 * 128, 128 * 256, 0.15
FEW = 64  # tiles of a block: products of fewer would take less time than their sums
LANES = 5_000_000  # elements of all lanes' dU together
GAP = (
    48  # elements between the 36 of U, V: at multiples of 4 KiB they would share a few cache lines
)
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


def applies(w: Sizes, window: Window, group: int) -> bool:
    """Whether this is a convolution that Winograd's algorithm computes."""
    plain = set(window.stride) == {1} == set(window.dilation) and len(set(window.pad)) == 1
    return window.kernel == (3, 3) and plain and group == 1


def forward(
    x: Array, w: Array, b: Array, y: Array, pad: int, slope: float, room: Room
) -> None:  # fmt: skip
    """Write y; b may be None; slope 1: no rectifier."""
    made, take, shape = transforms(), Taker(room.scratch), _Tiling(x.shape, w.shape, y.shape)
    how, workers = cut(x.shape, w.shape, y.shape, room), room.workers
    k, c = w.shape[:2]
    bias = take(k)
    bias[...] = 0 if b is None else b
    work = [
        take(_work(w.shape, shape.across, how.rows))
        for _ in range(_crew(w.shape, shape, how, workers.threads))
    ]
    cells = how.rows * shape.across

    if how.maps:
        u = _apart(take(_apart_size(k, c)), 36, k, c)
        _weights(made, w, u, work, workers)
        buffers = [(take(_panels(c, cells)), take(36 * k * made.whole(cells))) for _ in work]
        alike = [
            (*run, made.counter())
            for run in _alike(sorted(shape.blocks(how), key=_rows, reverse=True))
        ]

        def share(_: int, slot: int) -> None:
            for rows, starts, counted in alike:
                cells = rows * shape.across
                v = _apart(buffers[slot][0], *made.panels_shape(c, cells))
                m = _view(buffers[slot][1], 36, k, made.whole(cells))
                made.output_blocks(
                    x, u, y, bias, slope, pad, starts, rows, shape.across, counted, v, m, work[slot]
                )

        workers.run(share, len(work))
        return

    every = take(_panels(c, cells))
    parts = list(pieces(k, CHANNELS))
    most = max(end - start for start, end in parts)
    slots = [(take(_apart_size(most, c)), take(36 * most * made.whole(cells))) for _ in work]
    for n, r0, rows in shape.blocks(how):
        cells = rows * shape.across
        v = _apart(every, *made.panels_shape(c, cells))
        inputs = list(pieces(c, INPUTS))

        def transform(
            i: int, slot: int, inputs: list[tuple[int, int]] = inputs, n: int = n, r0: int = r0,
            rows: int = rows, v: Array = v,
        ) -> None:  # fmt: skip
            made.input_panels(x, n, *inputs[i], r0, rows, shape.across, pad, v, work[slot])

        def outputs(
            i: int, slot: int, n: int = n, r0: int = r0, rows: int = rows, v: Array = v,
            cells: int = cells,
        ) -> None:  # fmt: skip
            k0, k1 = parts[i]
            u = _apart(slots[slot][0], 36, k1 - k0, c)
            m = _view(slots[slot][1], 36, k1 - k0, made.whole(cells))
            made.weight_tiles(w, k0, k1, 0, c, u, work[slot])
            made.multiply(u, v, m)
            made.output_tiles(m, y, n, k0, k1, r0, rows, bias, slope, work[slot])

        workers.run(transform, len(inputs))
        workers.run(outputs, len(parts))


def backward(
    x: Array, w: Array, y: Array, dy: Array, dw: Array, db: Array, dx: Array, pad: int,
    slope: float, room: Room,
) -> None:  # fmt: skip
    """Add to dw and db, write dx; each may be None.  y is read where slope is not 1."""
    how = cut(x.shape, w.shape, dy.shape, room)
    shape = _Tiling(x.shape, w.shape, dy.shape)
    (_backward_maps if how.maps else _backward_channels)(
        x, w, dy if y is None else y, dy, dw, db, dx, pad, slope, room, how, shape
    )


def _backward_maps(
    x: Array, w: Array, y: Array, dy: Array, dw: Array, db: Array, dx: Array, pad: int,
    slope: float, room: Room, how: Cut, shape: _Tiling,
) -> None:  # fmt: skip
    made, take, across = transforms(), Taker(room.scratch), shape.across
    workers = room.workers
    k, c = w.shape[:2]
    crew = range(_crew(w.shape, shape, how, workers.threads))
    work = [take(_work(w.shape, across, how.rows)) for _ in crew]
    cells = how.rows * across
    u = _apart(take(_apart_size(k, c)), 36, k, c)
    if dx is not None:
        _weights(made, w, u, work, workers)
    buffers = [(take(_panels(c, cells)), take(_panels(k, cells)), take(36, k, c)) for _ in crew]
    lanes = shape.lanes(how)
    sums = [_apart(take(_apart_size(k, c)), 36, k, c) if dw is not None else u[:0] for _ in lanes]
    into = np.empty((0,) * 4, x.dtype) if dx is None else dx
    carries = [take(c, 2, 6, across) for _ in lanes]
    biases = [take(k) for _ in lanes]

    def lane(i: int, slot: int) -> None:
        biases[i][...] = 0
        sums[i][...] = 0
        first, second, product = buffers[slot]
        for at, (rows, starts) in enumerate(_alike(lanes[i])):
            cells = rows * across
            v, m = (
                _apart(first, *made.panels_shape(c, cells)),
                _view(first, 36, c, made.whole(cells)),
            )
            d = _apart(second, *made.panels_shape(k, cells))
            made.gradient_blocks(
                x, y, dy, into, u, slope, pad, starts, rows, across, at == 0, v, d, m, product,
                sums[i], carries[i], biases[i], work[slot],
            )  # fmt: skip

    workers.run(lane, len(lanes))
    if dx is not None:
        for i, blocks in enumerate(lanes[:-1]):  # what a lane leaves for the first rows of the next
            n, r0, rows = blocks[-1]
            if r0 + rows < shape.down:
                made.last_rows(carries[i], dx, n, 0, c, r0 + rows, pad, True, work[0])
    for i in range(1, len(lanes)):
        biases[0] += biases[i]
        if dw is not None:
            sums[0] += sums[i]
    if dw is not None:
        made.weight_diff(sums[0], dw, 0, k, work[0])
    if db is not None:
        db += biases[0]


def _backward_channels(
    x: Array, w: Array, y: Array, dy: Array, dw: Array, db: Array, dx: Array, pad: int,
    slope: float, room: Room, how: Cut, shape: _Tiling,
) -> None:  # fmt: skip
    made, take, across = transforms(), Taker(room.scratch), shape.across
    workers = room.workers
    k, c = w.shape[:2]
    crew = range(_crew(w.shape, shape, how, workers.threads))
    work = [take(_work(w.shape, across, how.rows)) for _ in crew]
    cells = how.rows * across
    inputs, diffs = take(36 * c * cells), take(36 * k * cells)
    carry, bias = take(c, 2, 6, across), take(k)
    outs, ins = list(pieces(k, CHANNELS)), list(pieces(c, CHANNELS))
    slots = [take(_slot(w.shape, cells)) for _ in work]
    bias[...] = 0
    for n, r0, rows in shape.blocks(how):
        v, d = _view(inputs, 36, c, rows * across), _view(diffs, 36, k, rows * across)
        if dw is not None:
            _inputs(made, x, n, r0, rows, pad, v, work, workers)

        def transform(i: int, slot: int, n: int = n, r0: int = r0, d: Array = d) -> None:
            k0, k1 = outs[i]
            made.diff_tiles(
                dy, y, n, k0, k1, 0, r0, d.shape[2] // across, slope, d, bias, work[slot]
            )

        def weights(i: int, slot: int, v: Array = v, d: Array = d) -> None:
            k0, k1 = outs[i]
            du = _apart(slots[slot], 36, k1 - k0, c)
            np.matmul(d[:, k0:k1], v.transpose(0, 2, 1), out=du)
            made.weight_diff(du, dw, k0, k1, work[slot])

        def data(i: int, slot: int, n: int = n, r0: int = r0, d: Array = d) -> None:
            c0, c1 = ins[i]
            u = _apart(slots[slot], 36, k, c1 - c0)
            dv = _view(slots[slot][_apart_size(k, c1 - c0) :], 36, c1 - c0, d.shape[2])
            made.weight_tiles(w, 0, k, c0, c1, u, work[slot])
            np.matmul(u.transpose(0, 2, 1), d, out=dv)
            rows = d.shape[2] // across
            made.data_tiles(dv, dx, n, c0, c1, r0, rows, pad, carry, r0 == 0, work[slot])
            if r0 + rows == shape.down:
                made.last_rows(carry, dx, n, c0, c1, shape.down, pad, False, work[slot])

        workers.run(transform, len(outs))
        if dw is not None:
            workers.run(weights, len(outs))
        if dx is not None:
            workers.run(data, len(ins))
    if db is not None:
        db += bias


def cut(x: Sizes, w: Sizes, y: Sizes, room: Room) -> Cut:
    """How a layer of these shapes is cut, so that its scratch for MOST threads stays within the
    budget."""
    shape, (k, c), threads = _Tiling(x, w, y), w[:2], MOST
    each = 36 * k * c
    if k * c <= SMALL or k * c <= min(LARGE, shape.down * shape.across / MANY):
        rows = max(transforms().BLOCK // (36 * (k + c) * shape.across), -(-FEW // shape.across))
        if shape.down * shape.across >= 2 * FEW:
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
    shape, how = _Tiling(x, w, y), cut(x, w, y, room)
    crew = _crew(w, shape, how, room.threads)
    if how.maps:
        return _maps_size(w, shape, how.rows, how.lanes, crew)
    return _channels_size(w, shape, how.rows, crew)


def _crew(w: Sizes, shape: _Tiling, how: Cut, threads: int) -> int:
    """How many threads ever have a task: of the others none needs scratch."""
    if how.maps:
        return min(threads, max(len(shape.blocks(how)), -(-w[0] // WHOLE)))
    return min(threads, max(-(-w[0] // CHANNELS), -(-w[1] // INPUTS)))


def _maps_size(w: Sizes, shape: _Tiling, rows: int, lanes: int, threads: int) -> int:
    (k, c), cells = w[:2], rows * shape.across
    each = _apart_size(k, c)
    slot = _work(w, shape.across, rows) + 36 * k * c
    slot += 2 * _panels(max(k, c), cells)
    return each + k + threads * slot + lanes * (each + 12 * c * shape.across + k)


def _channels_size(w: Sizes, shape: _Tiling, rows: int, threads: int) -> int:
    (k, c), cells = w[:2], rows * shape.across
    slot = _work(w, shape.across, rows) + _slot(w, cells)
    return _panels(c, cells) + 36 * k * cells + 12 * c * shape.across + k + threads * slot


def _slot(w: Sizes, cells: int) -> int:
    """Of one thread: some channels of U, and of M or dV."""
    most, some = max(w[:2]), min(CHANNELS, max(w[:2]))
    return _apart_size(some, most) + 36 * some * int(transforms().whole(cells))


def _work(w: Sizes, across: int, rows: int) -> int:
    """Of any transform, in whole cache lines, so that what follows lies as vectors want it."""
    return -(-int(transforms().work_size(max(w[:2]), rows, across)) // 16) * 16


class _Tiling:
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


def _rows(block: tuple[int, int, int]) -> int:
    return block[2]


def _alike(blocks: list[tuple[int, int, int]]) -> list[tuple[int, Array]]:
    """Runs of blocks of the same tile rows: (rows, [image, first tile row] of each)."""
    runs = [(rows, list(run)) for rows, run in groupby(blocks, key=_rows)]
    return [(rows, np.array([block[:2] for block in run], np.int64)) for rows, run in runs]


def _panels(channels: int, cells: int) -> int:
    """Elements of V, or D, as it is multiplied."""
    return _apart_size(*transforms().panels_shape(channels, cells)[1:])


def _apart_size(*shape: int) -> int:
    """Elements of 36 of such a shape, and of the gaps behind them."""
    return 36 * (prod(shape) + GAP)


def _view(buffer: Array, *shape: int) -> Array:
    return buffer.reshape(-1)[: prod(shape)].reshape(shape)


def _apart(buffer: Array, *shape: int) -> Array:
    """The same with a gap behind each of the first axis."""
    far = prod(shape[1:]) + GAP
    return _view(buffer, shape[0], far)[:, : far - GAP].reshape(shape)


def _weights(made: ModuleType, w: Array, u: Array, work: list[Array], workers: Workers) -> None:
    """The whole U."""
    parts = list(pieces(len(w), WHOLE))

    def part(i: int, slot: int) -> None:
        k0, k1 = parts[i]
        made.weight_tiles(w, k0, k1, 0, w.shape[1], u[:, k0:k1], work[slot])

    workers.run(part, len(parts))


def _inputs(
    made: ModuleType, x: Array, n: int, r0: int, rows: int, pad: int, v: Array,
    work: list[Array], workers: Workers,
) -> None:  # fmt: skip
    """V of all channels for some tile rows."""
    parts = list(pieces(v.shape[1], INPUTS))

    def part(i: int, slot: int) -> None:
        c0, c1 = parts[i]
        made.input_tiles(x, n, c0, c1, 0, r0, rows, pad, v, work[slot])

    workers.run(part, len(parts))
