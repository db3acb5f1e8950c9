"""3x3 convolution of stride 1 by Winograd's F(4x4, 3x3), F(6x6, 3x3): 4 or 5 times fewer products.

The output is cut into tiles of 4x4, each made from 6x6 of the input (d; tiles overlap by two):

    forward    U = G g G^T    V = B^T d B    M[k, t] = sum_c U[k, c] V[c, t]    y = A^T M A + b
    backward   D = A dy A^T   dU[k, c] = sum_t D[k, t] V[c, t]                  dg += G^T dU G
                              dV[c, t] = sum_k U[k, c] D[k, t]                  dd = B dV B^T

Each sum is 36 matrix products, one for each element of a 6x6 tile.  Forward, tiles are of 6x6, each
made from 8x8 by 64 products, where they may be and save enough work (`best_tile`).  Backward is the
transposed algorithm: one transform of dy serves both gradients.  A rectifier that follows the
convolution is a factor on the way: y times slope where negative, dy times slope where y <= 0.

How a layer is cut (`cut`) depends on its shapes alone:

    maps       few channels, large maps.  Some rows of tiles at a time, all channels; the whole U.
               Backward, a lane is a run of tile rows with its own dU; lanes are added in order.
               Threads share blocks without meeting: each makes all of its own in one call.
    channels   many channels, small maps.  V (and D) of the whole image, or of a band of it; then
               some channels of U, or columns of dU, at a time, so that these are never whole.

float32 only; error at most 3e-5 of the largest output (tiles of 4x4 have 1e-5, of 6x6 2e-5, where
im2col has 1e-6).  The transforms are those of kernels/tiles_numba.py, or of kernels/tiles_numpy.py
where Numba is not installed.

Source: A. Lavin, S. Gray, Fast Algorithms for Convolutional Neural Networks (arXiv:1509.09308).
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from . import winograd_cut as cuts
from .im2col import Array, Window, pieces
from .winograd_cut import BACK, Cut, Tiling, alike, apart, apart_size, cut, panels_size, split, view
from .winograd_cut import scratch_size as scratch_size
from .workers import Room, Taker, Workers


def applies(window: Window, group: int) -> bool:
    """Whether this is a convolution that Winograd's algorithm computes."""
    plain = set(window.stride) == {1} == set(window.dilation) and len(set(window.pad)) == 1
    return window.kernel == (3, 3) and plain and group == 1


def forward(
    x: Array, w: Array, b: Array, y: Array, pad: int, slope: float, most: int, room: Room
) -> None:  # fmt: skip
    """Write y; b may be None; slope 1: no rectifier; most: pixels along a tile."""
    made, take, tile = cuts.transforms(), Taker(room.scratch), cuts.best_tile(y.shape, most)
    shape, of = Tiling(y.shape, tile), cuts.elements(tile)
    how, workers = cut(w.shape, shape, room), room.workers
    k, c = w.shape[:2]
    bias = take(k)
    bias[...] = 0 if b is None else b
    work = _work(w, shape, how, take, workers)
    cells = how.rows * shape.across

    if how.maps:
        u = apart(take(apart_size(tile, k, c)), of, k, c)
        _weights(made, w, tile, u, workers)
        m_size = of * k * made.whole(cells)
        buffers = [(take(panels_size(c, cells, tile)), take(m_size)) for _ in work]
        largest_first = sorted(shape.blocks(how), key=cuts.rows_of, reverse=True)
        runs = [(*run, made.counter()) for run in alike(largest_first)]

        def share(_: int, slot: int) -> None:
            for rows, starts, counted in runs:
                cells = rows * shape.across
                v = apart(buffers[slot][0], *made.panels_shape(c, cells, tile))
                m = view(buffers[slot][1], of, k, made.whole(cells))
                made.output_blocks(
                    x, u, y, bias, slope, pad, starts, rows, shape.across, tile, counted, v, m,
                    work[slot],
                )  # fmt: skip

        workers.run(share, len(work))
        return

    every = take(panels_size(c, cells, tile))
    parts = list(pieces(k, cuts.CHANNELS))
    slots = [take(cuts.slot_size(w.shape, cells, tile)) for _ in work]
    for n, r0, rows in shape.blocks(how):
        cells = rows * shape.across
        v = apart(every, *made.panels_shape(c, cells, tile))
        _inputs(made, x, n, r0, rows, shape.across, pad, tile, v, work, workers)

        def outputs(
            i: int, slot: int, n: int = n, r0: int = r0, rows: int = rows, v: Array = v,
            cells: int = cells,
        ) -> None:  # fmt: skip
            k0, k1 = parts[i]
            m, rest = split(slots[slot], of, k1 - k0, made.whole(cells))
            for c0, c1 in pieces(c, cuts.summed(c, cells)):
                u = apart(rest, of, k1 - k0, c1 - c0)
                made.weight_tiles(w, k0, k1, c0, c1, tile, u)
                made.multiply(u, v[..., c0:c1, :], m, c0 > 0)
            made.output_tiles(m, y, n, k0, k1, r0, rows, bias, slope, tile, work[slot])

        workers.run(outputs, len(parts))


def backward(
    x: Array, w: Array, y: Array, dy: Array, dw: Array, db: Array, dx: Array, pad: int,
    slope: float, room: Room,
) -> None:  # fmt: skip
    """Add to dw and db, write dx; each may be None.  y is read where slope is not 1."""
    shape = Tiling(dy.shape, BACK)
    how = cut(w.shape, shape, room)
    (_backward_maps if how.maps else _backward_channels)(
        x, w, dy if y is None else y, dy, dw, db, dx, pad, slope, room, how, shape
    )


def _backward_maps(
    x: Array, w: Array, y: Array, dy: Array, dw: Array, db: Array, dx: Array, pad: int,
    slope: float, room: Room, how: Cut, shape: Tiling,
) -> None:  # fmt: skip
    made, take, across = cuts.transforms(), Taker(room.scratch), shape.across
    workers = room.workers
    k, c = w.shape[:2]
    work = _work(w, shape, how, take, workers)
    cells = how.rows * across
    u = apart(take(apart_size(BACK, k, c)), 36, k, c)
    if dx is not None:
        _weights(made, w, BACK, u, workers)
    buffers = [
        (
            take(panels_size(c, cells, BACK)),
            take(panels_size(k, cells, BACK)),
            take(made.spare_size(k, c)),
        )
        for _ in work
    ]
    lanes = shape.lanes(how)
    du = k, made.whole(c)
    sums = [apart(take(apart_size(BACK, *du)), 36, *du) if dw is not None else u[:0] for _ in lanes]
    into = np.empty((0,) * 4, x.dtype) if dx is None else dx
    carries = [take(c, 2, 6, made.whole(across)) for _ in lanes]
    biases = [take(k) for _ in lanes]

    def lane(i: int, slot: int) -> None:
        biases[i][...] = 0
        sums[i][...] = 0
        first, second, spare = buffers[slot]
        for at, (rows, starts) in enumerate(alike(lanes[i])):
            cells = rows * across
            v, m = (
                apart(first, *made.panels_shape(c, cells, BACK)),
                view(first, 36, c, made.whole(cells)),
            )
            d = apart(second, *made.panels_shape(k, cells, BACK))
            made.gradient_blocks(
                x, y, dy, into, u, slope, pad, starts, rows, across, at == 0, v, d, m, spare,
                sums[i], carries[i], biases[i], work[slot],
            )  # fmt: skip

    workers.run(lane, len(lanes))
    if dx is not None:
        for i, blocks in enumerate(lanes[:-1]):  # what a lane leaves for the first rows of the next
            n, r0, rows = blocks[-1]
            if r0 + rows < shape.down:
                made.last_rows(carries[i], dx, n, 0, c, r0 + rows, across, pad, True, work[0])
    for i in range(1, len(lanes)):
        biases[0] += biases[i]
        if dw is not None:
            sums[0] += sums[i]
    if dw is not None:
        made.weight_diff(sums[0], dw, 0, c, work[0])
    if db is not None:
        db += biases[0]


def _backward_channels(
    x: Array, w: Array, y: Array, dy: Array, dw: Array, db: Array, dx: Array, pad: int,
    slope: float, room: Room, how: Cut, shape: Tiling,
) -> None:  # fmt: skip
    made, take, across = cuts.transforms(), Taker(room.scratch), shape.across
    workers = room.workers
    k, c = w.shape[:2]
    work = _work(w, shape, how, take, workers)
    cells = how.rows * across
    inputs, diffs = take(panels_size(c, cells, BACK)), take(panels_size(k, cells, BACK))
    carry, bias = take(c, 2, 6, made.whole(across)), take(k)
    outs, ins = list(pieces(k, cuts.CHANNELS)), list(pieces(c, cuts.CHANNELS))
    columns = list(pieces(c, made.COLUMNS))
    slots = [take(cuts.slot_size(w.shape, cells, BACK)) for _ in work]
    bias[...] = 0
    for n, r0, rows in shape.blocks(how):
        cells = rows * across
        v = apart(inputs, *made.panels_shape(c, cells, BACK))
        d = apart(diffs, *made.panels_shape(k, cells, BACK))
        if dw is not None:
            _inputs(made, x, n, r0, rows, across, pad, BACK, v, work, workers)

        def transform(
            i: int, slot: int, n: int = n, r0: int = r0, rows: int = rows, d: Array = d
        ) -> None:
            made.diff_panels(dy, y, n, *outs[i], r0, rows, across, slope, d, bias, work[slot])

        def weights(i: int, slot: int, v: Array = v, d: Array = d, cells: int = cells) -> None:
            c0, c1 = columns[i]
            du = apart(slots[slot], 36, k, made.whole(c1 - c0))
            made.multiply_inner(d, v, c0, c1, du, cells, False, work[slot])
            made.weight_diff(du, dw, c0, c1, work[slot])

        def data(
            i: int, slot: int, n: int = n, r0: int = r0, rows: int = rows, d: Array = d,
            cells: int = cells,
        ) -> None:  # fmt: skip
            c0, c1 = ins[i]
            dv, rest = split(slots[slot], 36, c1 - c0, made.whole(cells))
            for k0, k1 in pieces(k, cuts.summed(k, cells)):
                u = apart(rest, 36, k1 - k0, c1 - c0)
                made.weight_tiles(w, k0, k1, c0, c1, BACK, u)
                made.multiply_transposed(u, d[..., k0:k1, :], dv, k0 > 0)
            made.data_tiles(dv, dx, n, c0, c1, r0, rows, across, pad, carry, r0 == 0, work[slot])
            if r0 + rows == shape.down:
                made.last_rows(carry, dx, n, c0, c1, shape.down, across, pad, False, work[slot])

        workers.run(transform, len(outs))
        if dw is not None:
            workers.run(weights, len(columns))
        if dx is not None:
            workers.run(data, len(ins))
    if db is not None:
        db += bias


def _work(w: Array, shape: Tiling, how: Cut, take: Taker, workers: Workers) -> list[Array]:
    """Of each thread that has a share: what its transforms work in."""
    threads = cuts.crew_size(w.shape, shape, how, workers.threads)
    return [take(cuts.work_size(w.shape, shape, how.rows)) for _ in range(threads)]


def _weights(made: ModuleType, w: Array, tile: int, u: Array, workers: Workers) -> None:
    """The whole U."""
    parts = list(pieces(len(w), cuts.WHOLE))

    def part(i: int, _: int) -> None:
        k0, k1 = parts[i]
        made.weight_tiles(w, k0, k1, 0, w.shape[1], tile, u[:, k0:k1])

    workers.run(part, len(parts))


def _inputs(
    made: ModuleType, x: Array, n: int, r0: int, rows: int, across: int, pad: int, tile: int,
    v: Array, work: list[Array], workers: Workers,
) -> None:  # fmt: skip
    """V of all channels for some tile rows."""
    parts = list(pieces(x.shape[1], cuts.INPUTS))

    def part(i: int, slot: int) -> None:
        made.input_panels(x, n, *parts[i], r0, rows, across, pad, tile, v, work[slot])

    workers.run(part, len(parts))
