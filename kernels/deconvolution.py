"""Deconvolution (transposed convolution): the data gradient of a convolution, as a forward pass.

    forward    y[n, m, i] = b[m] + sum_{c, k, o: s o - p + d k = i} w[c, m, k] x[n, c, o]
    backward   dw[c, m, k] += sum_{n, o} x[n, c, o] dy[n, m, s o - p + d k]
               db[m] += sum_{n, i} dy[n, m, i]
               dx[n, c, o] = sum_{m, k} w[c, m, k] dy[n, m, s o - p + d k]

    x (N, C, *S), w (C, M / group, *k), y (N, M, *O), all C-contiguous

So x stands where a convolution has its output, and y where it has its input.  Where windows tile
the output (kernel = stride, no padding, as in a U-Net's up-convolution) each output is written
once, from one product: nothing is zeroed and nothing added (2x2 windows: in one compiled pass,
kernels/painting_numba.py, where Numba is installed).  A rectifier of slope 0 can be applied
on the way, as in kernels/convolution.py.

Source: Caffe's src/caffe/layers/deconv_layer.cpp.
"""

from __future__ import annotations

from math import prod
from types import ModuleType

import numpy as np

from . import columns
from .convolution import COLUMNS, Form
from .im2col import Array, Sizes, Window, boxes, pieces, run, views
from .optional import optional
from .workers import Room

CUTS = False  # as in kernels/convolution.py
LARGE = 1 << 16  # elements of y from which a compiled pass is worth loading


def forward(x: Array, w: Array, b: Array, y: Array, form: Form, room: Room) -> None:
    """Write y; b may be None."""
    window, group, size, channels = form.window, form.group, x.shape[2:], y.shape[1]
    if not window.tiling or window.pointwise:
        columns.data_gradient(x, w, y, window, group, room)
        if b is not None:
            y += b.reshape(-1, *(1,) * len(size))
        if form.slope == 0:
            np.maximum(y, 0, out=y)
        return
    made = _compiled(y.shape, window)
    bias = np.zeros(channels, y.dtype, like=y) if b is None else b
    images, cells, outputs = _tile_cut(y.shape, size, window, group, room)
    w = w.reshape(group, w.shape[0] // group, -1).swapaxes(1, 2)
    x = x.reshape(len(x), group, x.shape[1] // group, -1)
    slots = room.slots(images * cells * outputs * window.volume)
    tasks = [
        (p, m, box)
        for p in pieces(len(x), images)
        for m in pieces(channels, outputs)
        for box in boxes(size, cells)
    ]

    def strip(i: int, slot: int) -> None:
        (first, end), (m, m_end), box = tasks[i]
        lengths = tuple(last - start for start, last in box)
        col = slots[slot][: (end - first) * (m_end - m) * window.volume * prod(lengths)]
        part = w if m_end - m == channels else w[:, m * window.volume : m_end * window.volume]
        rows = col.reshape(end - first, group, part.shape[1], -1)
        np.matmul(part, x[first:end, ..., run(size, box)], out=rows)
        col = col.reshape(end - first, m_end - m, *window.kernel, *lengths)
        painting, b = y[first:end, m:m_end], bias[m:m_end]
        if made is not None:
            top, left = (start for start, _ in box)
            made.paint(col, painting, top, left, b, form.slope == 0)
            return
        for offset in np.ndindex(*window.kernel):
            found = views(window, offset, y.shape[2:], box)
            assert found is not None
            part = col[(slice(None), slice(None), *offset)]
            painted = painting[(..., *found[0])]
            np.add(part, b.reshape(-1, *(1,) * len(size)), out=painted)
            if form.slope == 0:
                np.maximum(painted, 0, out=painted)

    room.workers.run(strip, len(tasks))


def backward(
    x: Array, w: Array, y: Array, dy: Array, dw: Array, db: Array, dx: Array, form: Form, room: Room
) -> None:
    """Add to dw and db, write dx; each may be None.  Where there is a rectifier, y is read, and dy
    may become what gets through it."""
    if form.slope == 0:
        columns.rectify_gradient(y, dy, room)
    if dw is not None:
        columns.weight_gradient(dy, x, dw, form.window, form.group, room)
    if db is not None:
        columns.bias_gradient(dy, db, room)
    if dx is not None:
        columns.forward(dy, w, None, dx, form.window, form.group, room)


def _compiled(y: Sizes, window: Window) -> ModuleType | None:
    """The compiled pass, where windows are 2x2, Numba is installed, and there is enough to do."""
    return optional("painting_numba") if window.kernel == (2, 2) and prod(y) >= LARGE else None


def choose(*_: object) -> str:
    """There is one engine."""
    return COLUMNS


def candidates(*_: object) -> list[str]:
    """There is one engine."""
    return [COLUMNS]


def scratch_size(x: Sizes, w: Sizes, y: Sizes, form: Form, room: Room) -> int:
    """Elements of scratch that arrays of these shapes need."""
    needed = columns.scratch_size(y, w, x, form.window, form.group, room)
    if form.window.tiling:
        images, cells, outputs = _tile_cut(y, x[2:], form.window, form.group, room)
        needed = max(needed, room.threads * images * cells * outputs * form.window.volume)
    return needed


def _tile_cut(
    y: Sizes, size: Sizes, window: Window, group: int, room: Room
) -> tuple[int, int, int]:
    """How many images, how many of x's elements and how many of y's channels at once.

    Where there is more of the weights than of the maps, the channels are cut: all weights are
    passed over in every piece of the maps.
    """
    rows, cells, parts = y[1] * window.volume, prod(size), columns.PARTS
    limit = min(room.share, columns.COLUMNS)
    if group == 1 and rows > parts * cells and rows * cells <= parts * limit:
        outputs = -(-y[1] // parts)
        return max(1, min(limit // (outputs * window.volume * cells), y[0])), cells, outputs
    most = max(1, limit // rows)
    count = -(-cells // most)
    count += -count % parts  # as many pieces for each of some threads
    lines = -(-size[0] // count)  # whole ones: see `boxes`
    most = min(most, lines * prod(size[1:]) if lines > 1 else -(-cells // count))
    return max(1, min(limit // (rows * cells), y[0])), most, y[1]
