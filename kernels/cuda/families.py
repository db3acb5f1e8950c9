"""The families of primitives that have kernels of their own, all but the convolutions.

Each has the functions of the module of the same name in kernels/, which is its specification; what
it does not have is that module's, through NumPy's protocols.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any

import numpy as np

from .. import columns, copies, dropout, pooling, relu, softmax, softmax_loss
from ..im2col import Window
from ..workers import Room
from .launch import (
    PARTS,
    THREADS,
    Array,
    flag,
    grid,
    last,
    map_of,
    name,
    places_grid,
    record,
    scalar,
    wide,
)

BLOCK = (THREADS,)
WINDOWS = np.dtype([(n, "i4", 3) for n in ("size", "out", "kernel", "stride", "pad")])
TRUTH = np.dtype([("ignores", "i4"), ("ignore", "i4"), ("weighted", "i4")])


class Family:
    """Functions of a module, some of them replaced by kernels of `file`."""

    specification: Any
    file: str

    def __init__(self, device: Any) -> None:
        self.device = device

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self.specification, attribute)

    def run(self, expression: str, grid: Any, *args: Any) -> None:
        self.device.function(self.file, expression)(grid, BLOCK, args)


class Relu(Family):
    specification, file = relu, "relu.cu"

    def relu(self, x: Array, y: Array, slope: float, scratch: Array) -> None:
        m, to = map_of(x), map_of(y)
        self.run(f"relu<{name(x)}, {flag(last(m))}>", grid(m), x, m, y, to, scalar(slope, x))

    def gradient(self, sign: Array, dy: Array, dx: Array, slope: float, scratch: Array) -> None:
        m = map_of(dx)
        expression = f"gradient<{name(dx)}, {flag(last(m))}>"
        arrays = (sign, map_of(sign), dy, map_of(dy), dx, m)
        self.run(expression, grid(m), *arrays, scalar(slope, dx))


class Columns(Family):
    specification, file = columns, "relu.cu"

    def rectify_gradient(self, y: Array, dy: Array, room: Room) -> None:
        self.device.relu.gradient(y, dy, dy, 0.0, None)


class Copies:
    """CuPy's, whose neighbouring threads walk along the last axis: they are shown the axes in the
    order in which y lies in memory."""

    def copy(self, x: Array, y: Array) -> None:
        copies.copy(*_in_order(x, y))

    def add(self, x: Array, y: Array) -> None:
        copies.add(*_in_order(x, y))

    def clear(self, y: Array) -> None:
        copies.clear(*_in_order(y))


def _in_order(*arrays: Array) -> list[Array]:
    """The same arrays, with the axes of the last one from the longest step to the shortest."""
    steps = arrays[-1].strides
    order = sorted(range(len(steps)), key=lambda axis: -steps[axis])
    return [array.transpose(*order) for array in arrays]


class Dropout(Family):
    specification, file = dropout, "dropout.cu"

    def draw(self, mask: Array, p: float, stream: Array) -> None:
        words = -(-mask.size // 8)
        args = (mask, map_of(mask), np.uint32(p * (2**32 - 1)), stream, np.int64(mask.size))
        self.run("draw", (max(1, -(-words // THREADS)),), *args)

    def apply(self, x: Array, mask: Array, scale: float, y: Array, scratch: Array) -> None:
        m = map_of(x)
        arrays = (x, m, mask, map_of(mask), y, map_of(y))
        self.run(f"apply<{name(x)}, {flag(last(m))}>", grid(m), *arrays, scalar(scale, x))


class Softmax(Family):
    specification, file = softmax, "softmax.cu"

    def softmax(self, x: Array, y: Array, scratch: Array) -> None:
        m = map_of(x)
        self.run(f"softmax<{name(x)}>", places_grid(m), x, m, y, map_of(y))

    def gradient(self, y: Array, dy: Array, dx: Array, scratch: Array) -> None:
        m = map_of(y)
        arrays = (y, m, dy, map_of(dy), dx, map_of(dx))
        self.run(f"gradient<{name(y)}>", places_grid(m), *arrays)


class SoftmaxLoss(Family):
    """The divisor that forward found stays on the device, for backward."""

    specification, file = softmax_loss, "softmax.cu"

    def forward(
        self,
        x: Array,
        prob: Array,
        labels: Array,
        weights: Array | None,
        ignore: int | None,
        constant: float | None,
        loss: Array,
        divisor: Array,
        scratch: Array,
    ) -> float | None:
        m, kind = map_of(x), name(x)
        truth = _truth(weights, ignore)
        along, rows = places_grid(m)
        along, rows = min(along, PARTS), min(rows, 8)
        sums = self.device.held("losses", 2 * PARTS * 8, "float64")
        given = labels if weights is None else weights
        arrays = (x, m, prob, map_of(prob), labels, given, truth, sums)
        self.run(f"losses<{kind}>", (along, rows), *arrays)
        args = (sums, np.int32(along * rows), np.float64(constant or 0), loss, divisor)
        self.run(f"finish<{kind}>", (1,), *args)
        return None

    def gradient(
        self,
        prob: Array,
        labels: Array,
        weights: Array | None,
        ignore: int | None,
        divisor: Array,
        dloss: Array,
        dx: Array,
        scratch: Array,
    ) -> None:
        m, given = map_of(prob), labels if weights is None else weights
        arrays = (prob, m, labels, given, _truth(weights, ignore), divisor, dloss, dx, map_of(dx))
        self.run(f"loss_gradient<{name(prob)}>", places_grid(m), *arrays)


def _truth(weights: Array | None, ignore: int | None) -> np.ndarray:
    return record(TRUTH, ignore is not None, ignore or 0, weights is not None)


class Pooling(Family):
    """Up to three axes; more are the specification's."""

    specification, file = pooling, "pooling.cu"

    def max_forward(self, x: Array, y: Array, arg: Array, window: Window, room: Room) -> None:
        if len(window.kernel) > 3:
            pooling.max_forward(x, y, arg, window, room)
            return
        types = f"{name(x)}, {name(arg)}"
        self._launch("max_forward", types, y, (x, y, arg), _windows(x, y, window))

    def max_backward(self, dy: Array, arg: Array, dx: Array, window: Window, room: Room) -> None:
        if len(window.kernel) > 3:
            pooling.max_backward(dy, arg, dx, window, room)
            return
        apart = all(k <= s for k, s in zip(window.kernel, window.stride, strict=True))
        kernel, over = ("max_spread", dy) if apart else ("max_backward", dx)
        types = f"{name(dx)}, {name(arg)}"
        self._launch(kernel, types, over, (dy, arg, dx), _windows(dx, dy, window))

    def average_forward(self, x: Array, y: Array, window: Window, room: Room) -> None:
        if len(window.kernel) > 3:
            pooling.average_forward(x, y, window, room)
            return
        self._launch("average_forward", name(x), y, (x, y), _windows(x, y, window))

    def average_backward(self, dy: Array, dx: Array, window: Window, room: Room) -> None:
        if len(window.kernel) > 3:
            pooling.average_backward(dy, dx, window, room)
            return
        self._launch("average_backward", name(dx), dx, (dy, dx), _windows(dx, dy, window))

    def _launch(
        self, kernel: str, types: str, over: Array, arrays: Sequence[Array], windows: np.ndarray
    ) -> None:
        """A thread for each element, or each word, of `over`, which is one of the arrays."""
        pairs = [(array, map_of(array)) for array in arrays]
        of_over = next(m for array, m in pairs if array is over)
        each = wide(*pairs)
        expression = f"{kernel}<{types}, {flag(last(of_over))}, {each}>"
        self.run(expression, grid(of_over, each), *chain(*pairs), windows)


def _windows(x: Array, y: Array, window: Window) -> np.ndarray:
    """Three axes, the first ones of one element where there are fewer."""
    assert prod(x.shape[2:]) < 2**31

    def three(values: Any, fill: int) -> tuple[int, ...]:
        values = tuple(values)
        return (fill,) * (3 - len(values)) + values

    return record(
        WINDOWS,
        three(x.shape[2:], 1),
        three(y.shape[2:], 1),
        three(window.kernel, 1),
        three(window.stride, 1),
        three(window.pad, 0),
    )
