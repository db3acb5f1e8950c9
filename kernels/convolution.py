"""Convolution (cross-correlation) over any number of axes, by im2col and matrix products.

    forward           y[n, m, o] = b[m] + sum_{c, k} w[m, c, k] x[n, c, s o - p + d k]
    weight_gradient   dw[m, c, k] += sum_{n, o} dy[n, m, o] x[n, c, s o - p + d k]
    data_gradient     dx[n, c, i]  = sum_{m, k, o: s o - p + d k = i} w[m, c, k] dy[n, m, o]
    bias_gradient     db[m] += sum_{n, o} dy[n, m, o]

    x (N, C, *S), w (M, C / group, *k), y (N, M, *O), all C-contiguous; c runs over the channels of
    m's group

The matrix of columns is never whole: it is made in strips of outputs, or for some channels at a
time, as large as the cache likes and never larger than the scratch allows.  Which of the two is cut
is decided by what would be passed over again for every piece: deep layers, whose weights are larger
than their maps, cut the channels, all others the maps.  A strip's product is not split, so results
do not depend on how many threads the BLAS has.

Every function takes `budget`, the elements of scratch it may use, and a scratch of at least
`scratch_size` elements.  Source: Caffe's src/caffe/layers/base_conv_layer.cpp.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from .im2col import Array, Box, Sizes, Window, boxes, col2im, im2col, pieces, run

COLUMNS = 2 << 20  # elements of a column matrix that stay in the cache beside what is made of them


class Cut(NamedTuple):
    """How much is done at once: images, channels of each group, outputs; and the scratch for it."""

    images: int
    channels: int
    cells: int
    scratch: int


def forward(
    x: Array, w: Array, b: Array, y: Array, window: Window, group: int, scratch: Array, budget: int
) -> None:
    """Write y; b may be None."""
    size = y.shape[2:]
    cut = _strips(x.shape, w.shape, size, window, budget)
    x, y, w = _grouped(x, group), _flat(y, group), w.reshape(group, w.shape[0] // group, -1)
    for first, end in pieces(len(x), cut.images):
        for box in boxes(size, cut.cells):
            part = y[first:end, ..., run(size, box)]
            np.matmul(w, _columns(x[first:end], window, box, size, scratch), out=part)
            if b is not None:
                part += b.reshape(group, -1, 1)


def weight_gradient(
    x: Array, dy: Array, dw: Array, window: Window, group: int, scratch: Array, budget: int
) -> None:
    """Add to dw."""
    size = dy.shape[2:]
    cut = _blocks(x.shape, dw.shape, size, window, group, budget)
    x, dy, dw = _grouped(x, group), _flat(dy, group), dw.reshape(group, dw.shape[0] // group, -1)
    used = dw.shape[1] * group * cut.channels * window.volume
    for c, c_end in pieces(x.shape[2], cut.channels):
        rows = slice(c * window.volume, c_end * window.volume)
        part = dw[..., rows]
        product = scratch[: part.size].reshape(part.shape)
        for first, end in pieces(len(x), cut.images):
            for box in boxes(size, cut.cells):
                col = _columns(x[first:end, :, c:c_end], window, box, size, scratch[used:])
                for image in range(first, end):
                    outputs = dy[image, ..., run(size, box)]
                    np.matmul(outputs, col[image - first].swapaxes(1, 2), out=product)
                    part += product


def data_gradient(
    dy: Array, w: Array, dx: Array, window: Window, group: int, scratch: Array, budget: int
) -> None:
    """Write dx: a convolution of dy with the flipped weights where the stride is 1 and that makes
    the smaller columns, else products scattered by col2im."""
    size = dy.shape[2:]
    if window.pointwise:
        w = w.reshape(group, w.shape[0] // group, -1)
        np.matmul(w.swapaxes(1, 2), _flat(dy, group), out=_flat(dx, group))
    elif _gathers(w.shape, size, window, group, budget):
        flipped = scratch[: w.size].reshape(-1, w.shape[0] // group, *window.kernel)
        _flip(w, group, flipped)
        forward(dy, flipped, None, dx, _flipped(window), group, scratch[w.size :], budget - w.size)
    else:
        _scatter(dy, w, dx, window, group, scratch, budget)


def _scatter(
    dy: Array, w: Array, dx: Array, window: Window, group: int, scratch: Array, budget: int
) -> None:
    size = dy.shape[2:]
    cut = _blocks(dx.shape, w.shape, size, window, group, budget)
    dx[...] = 0
    dy, dx, w = _flat(dy, group), _grouped(dx, group), w.reshape(group, w.shape[0] // group, -1)
    for c, c_end in pieces(dx.shape[2], cut.channels):
        part = w[..., c * window.volume : c_end * window.volume].swapaxes(1, 2)
        for first, end in pieces(len(dx), cut.images):
            for box in boxes(size, cut.cells):
                shape = (end - first, group, c_end - c, *window.kernel, *_lengths(box))
                col = scratch[: prod(shape)]
                rows = col.reshape(end - first, group, part.shape[1], -1)
                np.matmul(part, dy[first:end, ..., run(size, box)], out=rows)
                col2im(col.reshape(shape), window, box, dx[first:end, :, c:c_end])


def bias_gradient(dy: Array, db: Array) -> None:
    """Add to db."""
    for image in dy:
        db += image.reshape(len(db), -1).sum(axis=1)


def scratch_size(x: Sizes, w: Sizes, y: Sizes, window: Window, group: int, budget: int) -> int:
    """Elements of scratch that arrays of these shapes need."""
    size = y[2:]
    blocks = _blocks(x, w, size, window, group, budget)
    if window.pointwise:
        return blocks.scratch
    needed = [_strips(x, w, size, window, budget).scratch, blocks.scratch]
    if _gathers(w, size, window, group, budget):
        flipped = (w[1] * group, w[0] // group, *window.kernel)
        rest = budget - prod(w)
        needed.append(prod(w) + _strips(y, flipped, x[2:], _flipped(window), rest).scratch)
    return max(needed)


def _strips(x: Sizes, w: Sizes, size: Sizes, window: Window, budget: int) -> Cut:
    """A strip as large as the weights it is multiplied with, but not small."""
    cells, rows = prod(size), x[1] * window.volume
    if window.pointwise:
        return Cut(x[0], x[1], cells, 0)
    limit = min(budget, max(COLUMNS, prod(w)))
    at_once = _clamp(limit // rows, cells)
    images = _clamp(limit // (rows * cells), x[0])
    return Cut(images, x[1], at_once, images * rows * at_once)


def _blocks(x: Sizes, w: Sizes, size: Sizes, window: Window, group: int, budget: int) -> Cut:
    """Some channels of whole maps where the weights are larger than the maps, else strips."""
    cells, rows, limit = prod(size), group * window.volume, min(COLUMNS, budget // 2)
    whole_maps = cells if _deep(w, size) else 1
    channels = _clamp(limit // (rows * whole_maps), w[1])
    channels = _clamp(budget // 2 // (w[0] * window.volume), channels)  # the product, too
    at_once = _clamp(limit // (rows * channels), cells)
    images = _clamp(limit // (rows * channels * cells), x[0])
    columns = 0 if window.pointwise else images * rows * channels * at_once
    return Cut(images, channels, at_once, w[0] * channels * window.volume + columns)


def _clamp(value: int, most: int) -> int:
    return max(1, min(value, most))


def _deep(w: Sizes, size: Sizes) -> bool:
    return prod(w) > w[0] * prod(size)


def _gathers(w: Sizes, size: Sizes, window: Window, group: int, budget: int) -> bool:
    few = w[0] <= 2 * group * w[1]  # columns are made of dy's channels, not of dx's
    return set(window.stride) == {1} and few and not _deep(w, size) and prod(w) <= budget // 2


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
