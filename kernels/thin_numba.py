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

from .compiler_numba import compiler
from .im2col import Sizes, Window, im2col, pieces
from .products_numba import WIDTH, multiply_once
from .workers import Room, Taker
from .writer_numba import LANES

Array = Any

CHANNELS = 128  # of x in a task that makes columns
ROWS = 64  # of w in a task that multiplies
f1 = np.float32
fast = compiler()


def scratch_size(w: Sizes, y: Sizes) -> int:
    """Elements of scratch for arrays of these shapes."""
    cells, depth = y[0] * prod(y[2:]), prod(w[1:])
    return depth * _panels(cells) * WIDTH + w[0] * (_whole(cells) + 1)


def forward(
    x: Array, w: Array, b: Array, y: Array, window: Window, rectify: bool, room: Room
) -> None:
    """Write y; b may be None."""
    take, (images, rows) = Taker(room.scratch), y.shape[:2]
    cells, depth = images * prod(y.shape[2:]), prod(w.shape[1:])
    panels = take(1, _panels(cells), depth, WIDTH)
    product, bias = take(1, rows, _whole(cells)), take(rows)
    bias[...] = 0 if b is None else b
    weights, pixels = w.reshape(1, rows, depth), x.reshape(images, x.shape[1], -1)
    outputs, reads = y.reshape(images, rows, -1), _reads(x.shape[2:], y.shape[2:], window)
    columns, tasks = list(pieces(x.shape[1], CHANNELS)), list(pieces(rows, ROWS))

    def lay(i: int, _: int) -> None:
        _lay(pixels, reads, panels, *columns[i])

    def combine(i: int, _: int) -> None:
        m, end = tasks[i]
        _combine(weights[:, m:end], panels, product[:, m:end], bias, outputs, m, rectify)

    room.workers.run(lay, len(columns))
    room.workers.run(combine, len(tasks))


def _reads(inputs: Sizes, outputs: Sizes, window: Window) -> Array:
    """[k, o]: the pixel that output o reads at place k of its window, -1 where there is none."""
    numbers = np.arange(1, prod(inputs) + 1).reshape(1, *inputs)
    found = np.empty((1, *window.kernel, *outputs), numbers.dtype)
    im2col(numbers, window, tuple((0, n) for n in outputs), found)
    return found.reshape(window.volume, -1) - 1


@fast
def _lay(x: Array, reads: Array, panels: Array, first: int, end: int) -> None:
    """panels[p, c volume + k, t] = x[n, c, reads[k, o]], 0 behind the last output."""
    images, (volume, each) = len(x), reads.shape
    _, count, _, width = panels.shape
    for c in range(first, end):
        for k in range(volume):
            row = c * volume + k
            p = t = 0
            for n in range(images):
                for o in range(each):
                    at = reads[k, o]
                    panels[0, p, row, t] = x[n, c, at] if at >= 0 else f1(0)
                    t += 1
                    if t == width:
                        p, t = p + 1, 0
            if p < count:
                panels[0, p, row, t:] = f1(0)


@fast
def _combine(
    w: Array, panels: Array, product: Array, bias: Array, y: Array, m: int, rectify: bool
) -> None:
    """y[n, m + r, o] = f(bias[m + r] + sum_d w[r, d] panels[d, o])."""
    multiply_once(w, panels, product)
    images, _, each = y.shape
    for r in range(product.shape[1]):
        for n in range(images):
            for o in range(each):
                value = product[0, r, n * each + o] + bias[m + r]
                y[n, m + r, o] = f1(0) if rectify and value < 0 else value


def _panels(cells: int) -> int:
    return -(-cells // WIDTH)


def _whole(cells: int) -> int:
    return -(-cells // LANES) * LANES
