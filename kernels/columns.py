"""Convolution (cross-correlation) by im2col and matrix products.

    forward           y[n, m, o] = b[m] + sum_{c, k} w[m, c, k] x[n, c, s o - p + d k]
    weight_gradient   dw[m, c, k] += sum_{n, o} dy[n, m, o] x[n, c, s o - p + d k]
    data_gradient     dx[n, c, i]  = sum_{m, k, o: s o - p + d k = i} w[m, c, k] dy[n, m, o]
    bias_gradient     db[m] += sum_{n, o} dy[n, m, o]

    x (N, C, *S), w (M, C / group, *k), y (N, M, *O), all C-contiguous; c runs over the channels of
    m's group

The matrix of columns is never whole: it is made in strips of outputs, or for some channels at a
time, as large as the cache likes and never larger than the scratch allows.  Which of the two is cut
is decided by what would be passed over again for every piece: deep layers, whose weights are larger
than their maps, cut the channels, all others the maps.

A piece is a task for one thread.  This is the engine CAFFE, which says what is meant: any number of
axes, any window, any dtype.

Source: Caffe's src/caffe/layers/base_conv_layer.cpp.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from . import relu, strips
from .im2col import Array, Box, Sizes, Window, boxes, col2im, im2col, pieces, run
from .optional import optional
from .workers import Room

COLUMNS = 1 << 20  # elements of a column matrix that stay in the cache beside what is made of them
PARTS = 4  # tasks, at least, where there is work for so many
SMALL = 1 << 18  # elements of a column matrix that are not worth a second thread


class Cut(NamedTuple):
    """How much is one task: images, channels and outputs of each group, elements of y on its map;
    and the scratch for it."""

    images: int
    channels: int
    outputs: int
    cells: int
    scratch: int


def forward(
    x: Array, w: Array, b: Array, y: Array, window: Window, group: int, room: Room,
    rectify: bool = False,
) -> None:  # fmt: skip
    """Write y, what is negative as 0 if it is to be rectified; b may be None."""
    size = y.shape[2:]
    cut = _strips(x.shape, w.shape, size, window, room)
    x, y, w = _grouped(x, group), _flat(y, group), w.reshape(group, w.shape[0] // group, -1)
    slots = room.slots(cut.scratch)
    tasks = [(p, box) for p in pieces(len(x), cut.images) for box in boxes(size, cut.cells)]

    def strip(i: int, slot: int) -> None:
        (first, end), box = tasks[i]
        part = y[first:end, ..., run(size, box)]
        np.matmul(w, _columns(x[first:end], window, box, size, slots[slot]), out=part)
        if b is not None:
            part += b.reshape(group, -1, 1)
        if rectify:
            np.maximum(part, 0, out=part)

    room.workers.run(strip, len(tasks))


def weight_gradient(x: Array, dy: Array, dw: Array, window: Window, group: int, room: Room) -> None:
    """Add to dw."""
    size = dy.shape[2:]
    cut = _blocks(x.shape, dw.shape, size, window, group, room)
    x, dy, dw = _grouped(x, group), _flat(dy, group), dw.reshape(group, dw.shape[0] // group, -1)
    used = group * cut.outputs * cut.channels * window.volume
    slots = room.slots(cut.scratch)
    tasks = [
        (c, m) for c in pieces(x.shape[2], cut.channels) for m in pieces(dw.shape[1], cut.outputs)
    ]

    def block(i: int, slot: int) -> None:
        (c, c_end), (m, m_end) = tasks[i]
        part = dw[:, m:m_end, c * window.volume : c_end * window.volume]
        product = slots[slot][: part.size].reshape(part.shape)
        for first, end in pieces(len(x), cut.images):
            for box in boxes(size, cut.cells):
                col = _columns(x[first:end, :, c:c_end], window, box, size, slots[slot][used:])
                for image in range(first, end):
                    outputs = dy[image, :, m:m_end, run(size, box)]
                    np.matmul(outputs, col[image - first].swapaxes(1, 2), out=product)
                    part += product

    room.workers.run(block, len(tasks))


def data_gradient(dy: Array, w: Array, dx: Array, window: Window, group: int, room: Room) -> None:
    """Write dx: a convolution of dy with the flipped weights where the stride is 1 and that makes
    the smaller columns, else products scattered by col2im."""
    size = dy.shape[2:]
    if _gathers(w.shape, size, window, group, room):
        flipped = room.scratch[: w.size].reshape(-1, w.shape[0] // group, *window.kernel)
        _flip(w, group, flipped)
        forward(dy, flipped, None, dx, _flipped(window), group, room.without(w.size))
    else:
        _scatter(dy, w, dx, window, group, room)


def _scatter(dy: Array, w: Array, dx: Array, window: Window, group: int, room: Room) -> None:
    size = dy.shape[2:]
    cut = _blocks(dx.shape, w.shape, size, window, group, room)
    dy, dx, w = _flat(dy, group), _grouped(dx, group), w.reshape(group, w.shape[0] // group, -1)
    slots, tasks = room.slots(cut.scratch), list(pieces(dx.shape[2], cut.channels))

    def block(i: int, slot: int) -> None:
        c, c_end = tasks[i]
        part = w[..., c * window.volume : c_end * window.volume].swapaxes(1, 2)
        dx[:, :, c:c_end] = 0
        for first, end in pieces(len(dx), cut.images):
            for box in boxes(size, cut.cells):
                shape = (end - first, group, c_end - c, *window.kernel, *_lengths(box))
                col = slots[slot][: prod(shape)]
                rows = col.reshape(end - first, group, part.shape[1], -1)
                np.matmul(part, dy[first:end, ..., run(size, box)], out=rows)
                col2im(col.reshape(shape), window, box, dx[first:end, :, c:c_end])

    room.workers.run(block, len(tasks))


def rectify_gradient(y: Array, dy: Array, room: Room) -> None:
    """dy = 0 where y <= 0."""
    cuts = list(pieces(dy.size, min(dy.size, PARTS * strips.LENGTH)))
    y, dy = y.reshape(-1), dy.reshape(-1)
    made = optional("relu_numba") if dy.size >= SMALL else None
    if made is not None:
        room.workers.run(
            lambda i, _: made.gradient(y[slice(*cuts[i])], dy[slice(*cuts[i])]), len(cuts)
        )
        return
    slots = room.slots(strips.length(dy.size))

    def part(i: int, slot: int) -> None:
        here = slice(*cuts[i])
        relu.gradient(y[here], dy[here], dy[here], 0.0, slots[slot])

    room.workers.run(part, len(cuts))


def bias_gradient(dy: Array, db: Array, room: Room) -> None:
    """Add to db."""
    tasks = list(pieces(len(db), -(-len(db) // (PARTS if dy.size > SMALL else 1))))

    def part(i: int, slot: int) -> None:
        m, m_end = tasks[i]
        for image in dy:
            db[m:m_end] += image[m:m_end].reshape(m_end - m, -1).sum(axis=1)

    room.workers.run(part, len(tasks))


def scratch_size(x: Sizes, w: Sizes, y: Sizes, window: Window, group: int, room: Room) -> int:
    """Elements of scratch that arrays of these shapes need."""
    size = y[2:]
    needed = [
        room.threads * _blocks(x, w, size, window, group, room).scratch,
        room.threads * _strips(x, w, size, window, room).scratch,
        room.threads * strips.length(prod(y)),
    ]
    if _gathers(w, size, window, group, room):
        flipped = (w[1] * group, w[0] // group, *window.kernel)
        back = _strips(y, flipped, x[2:], _flipped(window), room.without(prod(w)))
        needed.append(prod(w) + room.threads * back.scratch)
    return max(needed)


def _strips(x: Sizes, w: Sizes, size: Sizes, window: Window, room: Room) -> Cut:
    """A strip as large as the weights it is multiplied with, but not small."""
    cells, rows = prod(size), x[1] * window.volume
    limit = min(room.share, max(COLUMNS, prod(w)))
    parts = _parts(x, size, window)
    many = x[0] >= parts  # images; else each map is cut
    at_once = _clamp(limit // rows, cells if many else -(-cells // parts))
    images = _clamp(limit // (rows * cells), -(-x[0] // parts) if many else 1)
    return Cut(images, x[1], w[0], at_once, 0 if window.pointwise else images * rows * at_once)


def _blocks(x: Sizes, w: Sizes, size: Sizes, window: Window, group: int, room: Room) -> Cut:
    """Some channels of whole maps where the weights are larger than the maps, else strips."""
    cells, rows, limit = prod(size), group * window.volume, min(COLUMNS, room.share // 2)
    whole_maps = cells if _deep(w, size) else 1
    parts, outputs = _parts(x, size, window), w[0] // group
    channels = _clamp(limit // (rows * whole_maps), -(-w[1] // parts))
    if w[1] < parts:
        outputs = -(-outputs // parts)
    most = room.share // 2 // (group * window.volume)
    channels = _clamp(most // outputs, channels)  # the product, too
    outputs = _clamp(most // channels, outputs)
    at_once = _clamp(limit // (rows * channels), cells)
    images = _clamp(limit // (rows * channels * cells), x[0])
    columns = images * rows * channels * at_once
    return Cut(
        images, channels, outputs, at_once, group * outputs * channels * window.volume + columns
    )


def _parts(x: Sizes, size: Sizes, window: Window) -> int:
    return PARTS if x[0] * x[1] * window.volume * prod(size) > SMALL else 1


def _clamp(value: int, most: int) -> int:
    return max(1, min(value, most))


def _deep(w: Sizes, size: Sizes) -> bool:
    return prod(w) > w[0] * prod(size)


def _gathers(w: Sizes, size: Sizes, window: Window, group: int, room: Room) -> bool:
    if prod(w) > room.budget // 2:
        return False
    few = w[0] <= 2 * group * w[1]  # columns are made of dy's channels, not of dx's
    return window.pointwise or (set(window.stride) == {1} and few and not _deep(w, size))


def _flipped(window: Window) -> Window:
    """The window of the convolution that is the data gradient of a convolution of stride 1."""
    pad = tuple(e - 1 - p for e, p in zip(window.extent, window.pad, strict=True))
    return window._replace(pad=pad)


def _flip(w: Array, group: int, flipped: Array) -> None:
    """flipped[c, m, k] = w[m, c, K - 1 - k], group by group."""
    split = (group, -1)
    w = w.reshape(*split, *w.shape[1:]).swapaxes(1, 2)
    back = (slice(None, None, -1),) * (w.ndim - 3)
    flipped.reshape(*split, *flipped.shape[1:])[...] = w[(..., *back)]


def _columns(x: Array, window: Window, box: Box, size: Sizes, scratch: Array) -> Array:
    """The columns of x (n, group, c, *S) for a box, as (n, group, c x volume, cells)."""
    n, group, channels = x.shape[:3]
    if window.pointwise:
        return x.reshape(n, group, channels, -1)[..., run(size, box)]
    shape = (n, group, channels, *window.kernel, *_lengths(box))
    col = scratch[: prod(shape)].reshape(shape)
    im2col(x, window, box, col)
    return col.reshape(n, group, channels * window.volume, -1)


def _lengths(box: Box) -> Sizes:
    return tuple(end - first for first, end in box)


def _grouped(x: Array, group: int) -> Array:
    """(N, C, *S) as (N, group, C / group, *S)."""
    return x.reshape(len(x), group, x.shape[1] // group, *x.shape[2:])


def _flat(y: Array, group: int) -> Array:
    """(N, M, *O) as (N, group, M / group, O)."""
    return y.reshape(len(y), group, y.shape[1] // group, -1)
