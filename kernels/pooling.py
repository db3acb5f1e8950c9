"""Pooling: the maximum or the mean of every window, over any number of axes.

    MAX    y[o] = max_k x[s o - p + k]                     dx[i] = sum of dy[o] where i won
    AVE    y[o] = sum_k x[s o - p + k] / n[o]              dx[i] = sum of dy[o] / n[o], o sees i

    x (.., *S), y (.., *O), C-contiguous: any axes before the spatial ones are planes
    n[o]: the window's size within the *padded* input, at least 1

The first maximum in row-major order wins and NaN never does; a window where nothing wins (empty, or
all NaN) gives -FLT_MAX.  `arg` remembers the winner: 0 is none, j + 1 the j-th window position.

Planes are taken a few at a time, so that all passes over them but the first read the cache; such a
chunk is a task for one thread.  Disjoint 2x2 windows have compiled kernels of the same results
(kernels/pooling_numba.py), used where Numba is installed.
Source: Caffe's src/caffe/layers/pooling_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from types import ModuleType

import numpy as np

from .im2col import Array, Sizes, Window, pieces, views
from .optional import optional
from .workers import Room

LOWEST = -float(np.finfo(np.float32).max)
PLANES = 1 << 18  # elements of x at once
PARTS = 8  # tasks of the compiled kernels
LARGE = 1 << 16  # elements of x from which compiled kernels are worth loading


def outputs(size: Sizes, window: Window, ceil: bool) -> Sizes:
    """How many windows Caffe takes: rounded up or down; a last one wholly in padding is dropped."""
    found = []
    for n, k, s, p in zip(size, window.kernel, window.stride, window.pad, strict=True):
        rest = n + 2 * p - k
        windows = (-(-rest // s) if ceil else rest // s) + 1
        if any(window.pad) and (windows - 1) * s >= n + p:
            windows -= 1
        found.append(windows)
    return tuple(found)


def arg_dtype(window: Window) -> str:
    return "uint8" if window.volume < 256 else "int32"


def scratch_size(x: Sizes, y: Sizes, itemsize: int, room: Room) -> int:
    """Elements of scratch for arrays of these shapes (planes, *S) and (planes, *O)."""
    cells = _at_once(x) * prod(y[1:])
    return prod(y[1:]) + room.threads * _slot(cells, itemsize)


def _slot(cells: int, itemsize: int) -> int:
    """Of one thread: a value and a flag for each of some elements of y."""
    return cells + -(-cells // itemsize)


def _compiled(x: Array, y: Array, window: Window) -> ModuleType | None:
    """The compiled kernels, where they apply, Numba is installed, and there is enough to do."""
    plain = window.kernel == window.stride == (2, 2) and not any(window.pad)
    size = tuple(2 * n for n in y.shape[1:])
    if plain and x.shape[1:] == size and x.size >= LARGE and x.dtype == np.float32:
        return optional("pooling_numba")
    return None


def max_forward(x: Array, y: Array, arg: Array, window: Window, room: Room) -> None:
    """Write y and arg."""
    x, y, arg = (_planes(a, window) for a in (x, y, arg))
    made = _compiled(x, y, window)
    if made is not None:
        cuts = list(pieces(len(x), -(-len(x) // PARTS)))
        room.workers.run(lambda i, _: made.max_forward(x, y, arg, *cuts[i]), len(cuts))
        return

    def pool(planes: slice, scratch: Array) -> None:
        best, winner = y[planes], arg[planes]
        value, won = _temporaries(best, scratch)
        best.fill(LOWEST)
        winner.fill(0)
        for j, offset in enumerate(np.ndindex(*window.kernel)):
            found = _views(window, offset, x, y)
            if found is None:
                continue
            source, target = found
            v, b, into, who = value[target], won[target], best[target], winner[target]
            v[...] = x[planes][source]  # strided reads once, not in every pass
            np.greater(v, into, out=b)
            np.fmax(into, v, out=into)
            if arg.dtype == np.uint8:  # later positions have larger numbers
                flag = b.view(np.uint8)
                np.multiply(flag, np.uint8(j + 1), out=flag)
                np.maximum(who, flag, out=who)
            else:
                np.copyto(who, j + 1, where=b)

    _each(x.shape, y.shape, room, pool)


def max_backward(dy: Array, arg: Array, dx: Array, window: Window, room: Room) -> None:
    """Write dx."""
    dy, arg, dx = (_planes(a, window) for a in (dy, arg, dx))
    made = _compiled(dx, dy, window)
    if made is not None:
        cuts = list(pieces(len(dx), -(-len(dx) // PARTS)))
        room.workers.run(lambda i, _: made.max_backward(dy, arg, dx, *cuts[i]), len(cuts))
        return
    disjoint = all(k <= s for k, s in zip(window.kernel, window.stride, strict=True))

    def spread(planes: slice, scratch: Array) -> None:
        value, won = _temporaries(dy[planes], scratch)
        dx[planes] = 0
        for j, offset in enumerate(np.ndindex(*window.kernel)):
            found = _views(window, offset, dx, dy)
            if found is None:
                continue
            source, target = found
            v, b, part = value[target], won[target], dx[planes][source]
            np.equal(arg[planes][target], j + 1, out=b)
            if disjoint:
                np.multiply(dy[planes][target], b, out=part)
            else:
                np.multiply(dy[planes][target], b, out=v)
                part += v

    _each(dx.shape, dy.shape, room, spread)


def max_index(arg: Array, index: Array, size: Sizes, window: Window, room: Room) -> None:
    """Write where each maximum lies: its row-major place in the plane, -1 where there is none."""
    arg, index = _planes(arg, window), _planes(index, window)
    base = room.scratch[: prod(index.shape[1:])].reshape(index.shape[1:])
    base.fill(0)
    steps = [prod(size[axis + 1 :]) for axis in range(len(size))]
    for axis, (n, s, p) in enumerate(zip(base.shape, window.stride, window.pad, strict=True)):
        base += _along(axis, (np.arange(n, like=base) * s - p) * steps[axis], base)
    index.fill(-1)
    for j, offset in enumerate(np.ndindex(*window.kernel)):
        place = sum(k * step for k, step in zip(offset, steps, strict=True))
        np.copyto(index, base + place, where=arg == j + 1)


def average_forward(x: Array, y: Array, window: Window, room: Room) -> None:
    """Write y."""
    x, y = _planes(x, window), _planes(y, window)
    counts = _counts(x.shape[1:], y, window, room.scratch)

    def pool(planes: slice, scratch: Array) -> None:
        total = y[planes]
        total.fill(0)
        for offset in np.ndindex(*window.kernel):
            found = _views(window, offset, x, y)
            if found is not None:
                part = total[found[1]]
                part += x[planes][found[0]]
        total /= counts

    _each(x.shape, y.shape, room.without(counts.size), pool)


def average_backward(dy: Array, dx: Array, window: Window, room: Room) -> None:
    """Write dx."""
    dy, dx = _planes(dy, window), _planes(dx, window)
    counts = _counts(dx.shape[1:], dy, window, room.scratch)

    def spread(planes: slice, scratch: Array) -> None:
        value, _ = _temporaries(dy[planes], scratch)
        np.divide(dy[planes], counts, out=value)
        dx[planes] = 0
        for offset in np.ndindex(*window.kernel):
            found = _views(window, offset, dx, dy)
            if found is not None:
                part = dx[planes][found[0]]
                part += value[found[1]]

    _each(dx.shape, dy.shape, room.without(counts.size), spread)


def _planes(array: Array, window: Window) -> Array:
    return array.reshape(-1, *array.shape[-len(window.kernel) :])


def _each(x: Sizes, y: Sizes, room: Room, task: Callable[[slice, Array], None]) -> None:
    """Do the task for all planes, a few at a time, with a part of the scratch."""
    chunks = [slice(*piece) for piece in pieces(x[0], _at_once(x))]
    slots = room.slots(_slot(_at_once(x) * prod(y[1:]), room.scratch.itemsize))
    room.workers.run(lambda i, slot: task(chunks[i], slots[slot]), len(chunks))


def _counts(size: Sizes, y: Array, window: Window, scratch: Array) -> Array:
    """n[o], in the head of scratch."""
    counts = scratch[: prod(y.shape[1:])].reshape(y.shape[1:])
    counts.fill(1)
    for axis, (n, k, s, p) in enumerate(
        zip(size, window.kernel, window.stride, window.pad, strict=True)
    ):
        start = np.arange(counts.shape[axis], like=counts) * s - p
        counts *= _along(axis, np.maximum(np.minimum(start + k, n + p) - start, 1), counts)
    return counts


def _along(axis: int, values: Array, like: Array) -> Array:
    """A vector as an array of like's dtype that broadcasts along one axis of it."""
    return values.astype(like.dtype).reshape(-1, *(1,) * (like.ndim - axis - 1))


def _views(
    window: Window, offset: Sizes, x: Array, y: Array
) -> tuple[tuple[slice, ...], tuple[slice, ...]] | None:
    """Slices of x's planes and of y's planes for one window position."""
    found = views(window, offset, x.shape[1:], tuple((0, n) for n in y.shape[1:]))
    everything = (slice(None),)
    return None if found is None else (everything + found[0], everything + found[1])


def _temporaries(y: Array, scratch: Array) -> tuple[Array, Array]:
    """A value and a flag for each element of y, in scratch."""
    value, flag = scratch[: y.size].reshape(y.shape), scratch[y.size :].view(np.bool_)
    return value, flag[: y.size].reshape(y.shape)


def _at_once(x: Sizes) -> int:
    return max(1, min(PLANES // prod(x[1:]), x[0]))
