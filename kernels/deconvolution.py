"""Deconvolution (transposed convolution): the data gradient of a convolution, as a forward pass.

    forward           y[n, m, i] = b[m] + sum_{c, k, o: s o - p + d k = i} w[c, m, k] x[n, c, o]
    weight_gradient   dw[c, m, k] += sum_{n, o} x[n, c, o] dy[n, m, s o - p + d k]
    data_gradient     dx[n, c, o]  = sum_{m, k} w[c, m, k] dy[n, m, s o - p + d k]

    x (N, C, *S), w (C, M / group, *k), y (N, M, *O), all C-contiguous

So x stands where a convolution has its output, and y where it has its input.  Where windows tile
the output (kernel = stride, no padding, as in a U-Net's up-convolution) each output is written
once, from one product: nothing is zeroed and nothing added.

scratch and budget as in kernels/convolution.py.  Source: Caffe's src/caffe/layers/deconv_layer.cpp.
"""

from __future__ import annotations

from math import prod

import numpy as np

from . import convolution
from .im2col import Array, Sizes, Window, boxes, pieces, run, views


def forward(
    x: Array, w: Array, b: Array, y: Array, window: Window, group: int, scratch: Array, budget: int
) -> None:
    """Write y; b may be None."""
    if not window.tiling or window.pointwise:
        convolution.data_gradient(x, w, y, window, group, scratch, budget)
        if b is not None:
            y += b.reshape(-1, *(1,) * (y.ndim - 2))
        return
    size, channels = x.shape[2:], y.shape[1]
    bias = y.dtype.type(0) if b is None else b.reshape(-1, *(1,) * len(size))
    images, cells = _tile_cut(y.shape, size, window, budget)
    w = w.reshape(group, w.shape[0] // group, -1).swapaxes(1, 2)
    x = x.reshape(len(x), group, x.shape[1] // group, -1)
    for first, end in pieces(len(x), images):
        for box in boxes(size, cells):
            lengths = tuple(last - start for start, last in box)
            col = scratch[: (end - first) * channels * window.volume * prod(lengths)]
            rows = col.reshape(end - first, group, w.shape[1], -1)
            np.matmul(w, x[first:end, ..., run(size, box)], out=rows)
            col = col.reshape(end - first, channels, *window.kernel, *lengths)
            for offset in np.ndindex(*window.kernel):
                found = views(window, offset, y.shape[2:], box)
                assert found is not None
                part = col[(slice(None), slice(None), *offset)]
                np.add(part, bias, out=y[first:end][(..., *found[0])])


def weight_gradient(
    x: Array, dy: Array, dw: Array, window: Window, group: int, scratch: Array, budget: int
) -> None:
    """Add to dw."""
    convolution.weight_gradient(dy, x, dw, window, group, scratch, budget)


def data_gradient(
    dy: Array, w: Array, dx: Array, window: Window, group: int, scratch: Array, budget: int
) -> None:
    """Write dx."""
    convolution.forward(dy, w, None, dx, window, group, scratch, budget)


bias_gradient = convolution.bias_gradient


def scratch_size(x: Sizes, w: Sizes, y: Sizes, window: Window, group: int, budget: int) -> int:
    """Elements of scratch that arrays of these shapes need."""
    needed = convolution.scratch_size(y, w, x, window, group, budget)
    if window.tiling:
        images, cells = _tile_cut(y, x[2:], window, budget)
        needed = max(needed, images * cells * y[1] * window.volume)
    return needed


def _tile_cut(y: Sizes, size: Sizes, window: Window, budget: int) -> tuple[int, int]:
    """How many images and how many of x's elements at once."""
    rows, cells = y[1] * window.volume, prod(size)
    limit = min(budget, convolution.COLUMNS)
    return (
        max(1, min(limit // (rows * cells), y[0])),
        max(1, min(limit // rows, cells)),
    )
