"""Convolution of small maps with many weights, compiled by Numba: every weight is read once.

    y[:, o] = f(b + w col[:, o])        w (M, C volume), col as in kernels/im2col.py

Where outputs are few, a product is as slow as its weights arrive from memory, and a BLAS that
arranges them anew reads them twice.  Here the columns of all images together are laid into panels
(kernels/products_numba.py), and w is read as it lies, some of its rows by each thread.  float32,
one group; f: a rectifier, or nothing.  The specification is kernels/columns.py.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .im2col import Sizes, Window, im2col, pieces
from .products_numba import WIDTH, multiply
from .vectors_numba import LANES
from .workers import Room, Taker

Array = Any

CHANNELS = 32  # of x in a task that makes columns
ROWS = 64  # of w in a task that multiplies


def scratch_size(x: Sizes, w: Sizes, y: Sizes, room: Room) -> int:
    """Elements of scratch for arrays of these shapes."""
    cells, depth = y[0] * prod(y[2:]), prod(w[1:])
    columns = min(CHANNELS, x[1]) * prod(w[2:]) * prod(y[2:])
    return depth * _panels(cells) * WIDTH + w[0] * _whole(cells) + room.threads * columns


def forward(
    x: Array, w: Array, b: Array, y: Array, window: Window, rectify: bool, room: Room
) -> None:
    """Write y; b may be None."""
    take, (images, size) = Taker(room.scratch), (len(y), y.shape[2:])
    each, depth, volume = prod(size), prod(w.shape[1:]), window.volume
    cells, parts = images * each, list(pieces(x.shape[1], CHANNELS))
    panels = take(1, _panels(cells), depth, WIDTH)
    product = take(1, len(w), _whole(cells))
    slots = [take(min(CHANNELS, x.shape[1]) * volume * each) for _ in range(room.threads)]
    box = tuple((0, n) for n in size)

    def columns(i: int, slot: int) -> None:
        c, end = parts[i]
        col = slots[slot][: (end - c) * volume * each].reshape(-1, each)
        rows = panels[0, :, c * volume : end * volume]
        rows[-1] = 0  # behind the last output
        for n in range(images):
            im2col(x[n, c:end], window, box, col.reshape(end - c, *window.kernel, *size))
            for p in range(n * each // WIDTH, -(-(n + 1) * each // WIDTH)):
                first, last = max(p * WIDTH, n * each), min((p + 1) * WIDTH, (n + 1) * each)
                part = col[:, first - n * each : last - n * each]
                rows[p, :, first - p * WIDTH : last - p * WIDTH] = part

    tasks = list(pieces(len(w), ROWS))
    weights = w.reshape(1, len(w), depth)

    def outputs(i: int, _: int) -> None:
        m, end = tasks[i]
        multiply(weights[:, m:end], panels, product[:, m:end])
        part = product[0, m:end, :cells].reshape(end - m, images, *size).swapaxes(0, 1)
        out = y[:, m:end]
        np.add(part, 0 if b is None else b[m:end].reshape(-1, *(1,) * len(size)), out=out)
        if rectify:
            np.maximum(out, 0, out=out)

    room.workers.run(columns, len(parts))
    room.workers.run(outputs, len(tasks))


def _panels(cells: int) -> int:
    return -(-cells // WIDTH)


def _whole(cells: int) -> int:
    return -(-cells // LANES) * LANES
