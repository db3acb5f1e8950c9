"""Launches the kernels of a convolution's three products and of its sums.

    correlate         y[n, m, o] = f(b[m] + sum_{c, k} w[m, c, k] x[n, c, s o - p + d k])
    transpose         y[n, m, i] = f(b[m] + sum_{c, k, o: s o - p + d k = i} w[c, m, k] x[n, c, o])
    weight_gradient   dw[m, c, k] += sum_{n, o} dy[n, m, o] x[n, c, s o - p + d k]
    output_gradient   dy = dy where y > 0, else slope dy;  db[m] += sum_{n, o} dy[n, m, o]

f(v) = v where v > 0, else slope v; with `sign`, an array of y's shape, y is 0 where that is not
above 0: what got through a rectifier.  A forward pass is a correlation and its data gradient a
transpose, or the other way round for a deconvolution.  Arrays are (N, C, *S) float32 of any
strides, w and dw C-contiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ..im2col import Array, Window
from ..workers import Room, Taker
from . import products, table
from .geometry import layout
from .plans import Machine, Plan
from .table import Kernel

DIRECT = (*table.SHORT.values(), table.NARROW)


class Launching(Protocol):
    """What these kernels need of a device."""

    @property
    def precision(self) -> str: ...

    @property
    def capability(self) -> int: ...

    @property
    def processors(self) -> int: ...

    @property
    def warpgroups(self) -> bool: ...

    def function(self, file: str, expression: str) -> Callable[..., None]: ...


class Filters:
    def __init__(self, device: Launching) -> None:
        self.device = device

    @property
    def machine(self) -> Machine:
        d = self.device
        return Machine(d.precision, d.capability, d.processors, d.warpgroups)

    def correlate(
        self, x: Array, w: Array, b: Array, y: Array, window: Window, group: int, slope: float,
        room: Room, sign: Array = None,
    ) -> None:  # fmt: skip
        """Write y; b may be None."""
        self._product(x, w, b, y, window, group, False, slope, room, sign)

    def transpose(
        self, x: Array, w: Array, b: Array, y: Array, window: Window, group: int, slope: float,
        room: Room, sign: Array = None,
    ) -> None:  # fmt: skip
        """Write y; b may be None."""
        self._product(x, w, b, y, window, group, True, slope, room, sign)

    def _product(
        self, x: Array, w: Array, b: Array, y: Array, window: Window, group: int, transpose: bool,
        slope: float, room: Room, sign: Array,
    ) -> None:  # fmt: skip
        of_y = layout(y)
        cut = sign is not None and layout(sign) == of_y
        plan, record, packing, packers, results, quads = products.product(
            layout(x), of_y, w.shape, window, group, transpose, slope, b is not None, self.machine,
            room.budget, cut,
        )  # fmt: skip
        take = Taker(room.scratch)
        weights = w
        if plan.operand is not None:
            weights = take(plan.packed)
            self._each(table.PACK[plan.operand], packers, (w, weights, packing))
        bias = weights if b is None else b  # unread
        like = sign if cut else x  # unread
        if plan.kernel in DIRECT:
            self._launch(plan, (x, weights, bias, y, like, record))
        else:
            planes = take(plan.planes) if plan.planes else y  # unread
            self._launch(plan, (x, weights, bias, y, planes, like, record))
            if plan.splits > 1:
                self._each(table.FINISH[quads], results, (planes, bias, y, like, record))
        if sign is not None and not cut:
            self.output_gradient(sign, y, None, 0.0, room)

    def weight_gradient(
        self, x: Array, dy: Array, dw: Array, window: Window, group: int, room: Room,
        db: Array = None,
    ) -> None:  # fmt: skip
        """Add to dw, and to db, which may be None."""
        plan, record = products.gradient(
            layout(x), layout(dy), window, group, self.machine, room.budget, db is not None
        )
        take = Taker(room.scratch)
        planes = take(plan.planes)
        sums = take(plan.sums) if plan.sums else planes  # unread
        summing = (sums,) if plan.kernel.file in table.SUMMING else ()
        self._launch(plan, (x, dy, planes, *summing, record))
        rows, columns = dw.shape[:2]
        counts = [np.int32(n) for n in (rows, columns, window.volume, plan.splits)]
        many = plan.splits >= table.MANY_PLANES
        threads = dw.size * (table.MANY_TURNS if many else 1)
        self._each(table.ADD_PLANES[many], threads, (planes, dw, *counts))
        if plan.sums:
            self._add_sums(sums, db, plan.splits)
        else:
            self.output_gradient(None, dy, db, 1.0, room)

    def output_gradient(self, y: Array, dy: Array, db: Array, slope: float, room: Room) -> None:
        """Add to db; y is read and dy changed where the slope is not 1.  y and db may be None."""
        rectify = slope != 1
        if not rectify and db is None:
            return
        of_dy, outputs = layout(dy), dy.shape[1]
        of_y = layout(y) if rectify else of_dy
        record, quads, parts, across = products.sums(of_y, of_dy, slope)
        found = room.scratch[: parts * outputs]
        kernel = table.SUM_OUTPUTS[rectify, quads]
        args = (y if rectify else dy, dy, found, record)
        self._function(kernel)((parts, across, 1), (kernel.threads, 1, 1), args, 0)
        self._add_sums(found, db, parts)

    def _add_sums(self, sums: Array, db: Array, parts: int) -> None:
        if db is not None:
            counts = (np.int32(db.size), np.int32(parts))
            self._each(table.ADD_SUMS, 32 * db.size, (sums, db, *counts))

    def _launch(self, plan: Plan, args: Sequence[Any]) -> None:
        kernel = plan.kernel
        function = self._function(kernel)
        function(plan.grid, (kernel.threads, 1, 1), args, kernel.shared + plan.shared)

    def _each(self, kernel: Kernel, threads: int, args: Sequence[Any]) -> None:
        """Launch at least so many threads."""
        grid = (-(-threads // kernel.threads), 1, 1)
        self._function(kernel)(grid, (kernel.threads, 1, 1), args, 0)

    def _function(self, kernel: Kernel) -> Callable[..., None]:
        return self.device.function(kernel.file, kernel.expression)
