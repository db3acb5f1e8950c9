"""Launches the kernels of a convolution's three products and of its sums.

    correlate         y[n, m, o] = f(b[m] + sum_{c, k} w[m, c, k] x[n, c, s o - p + d k])
    transpose         y[n, m, i] = f(b[m] + sum_{c, k, o: s o - p + d k = i} w[c, m, k] x[n, c, o])
    weight_gradient   dw[m, c, k] += sum_{n, o} dy[n, m, o] x[n, c, s o - p + d k]
    output_gradient   dy = dy where y > 0, else slope dy;  db[m] += sum_{n, o} dy[n, m, o]

f(v) = v where v > 0, else slope v.  A forward pass is a correlation and its data gradient a
transpose, or the other way round for a deconvolution.  Arrays are (N, C, *S) float32 of any
strides, w and dw C-contiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ..im2col import Array, Window
from ..workers import Room, Taker
from . import plans, table
from .geometry import AXES, Layout, correlation, layout, padded, painting, transposed
from .plans import Machine, Plan
from .table import Kernel

PACKING = np.dtype(
    [
        *((name, np.int32) for name in ("outputs", "channels", "taps", "groups")),
        *((name, np.int32) for name in ("reduction", "columns", "by_term")),
        *((name, np.int64) for name in ("w_output", "w_channel", "w_group")),
    ],
    align=True,
)
OUTPUTS = np.dtype(
    [
        *((name, np.int32) for name in ("pixels", "outputs", "part")),
        ("size", np.int32, AXES),
        ("slope", np.float32),
        *((name, np.int64) for name in ("y_image", "y_channel")),
        ("y_axis", np.int64, AXES),
        *((name, np.int64) for name in ("dy_image", "dy_channel")),
        ("dy_axis", np.int64, AXES),
    ],
    align=True,
)


class Launching(Protocol):
    """What these kernels need of a device."""

    @property
    def precision(self) -> str: ...

    @property
    def capability(self) -> int: ...

    @property
    def processors(self) -> int: ...

    def function(self, file: str, expression: str) -> Callable[..., None]: ...


class Filters:
    def __init__(self, device: Launching) -> None:
        self.device = device

    @property
    def machine(self) -> Machine:
        return Machine(self.device.precision, self.device.capability, self.device.processors)

    def correlate(
        self, x: Array, w: Array, b: Array, y: Array, window: Window, group: int, slope: float,
        room: Room,
    ) -> None:  # fmt: skip
        """Write y; b may be None."""
        x_, y_, window = layout(x), layout(y), padded(window)
        record = correlation(x_, y_, window, group)
        rows, volume = w.shape[1] * window.volume, window.volume
        self._product(x, w, b, y, x_, y_, record, (rows, volume), slope, room)

    def transpose(
        self, x: Array, w: Array, b: Array, y: Array, window: Window, group: int, slope: float,
        room: Room,
    ) -> None:  # fmt: skip
        """Write y; b may be None."""
        x_, y_, window = layout(x), layout(y), padded(window)
        record = backwards(x_, y_, window, group)
        rows, volume = w.shape[1] * window.volume, window.volume
        self._product(x, w, b, y, x_, y_, record, (volume, rows), slope, room)

    def _product(
        self, x: Array, w: Array, b: Array, y: Array, x_: Layout, y_: Layout, record: Any,
        strides: tuple[int, int], slope: float, room: Room,
    ) -> None:  # fmt: skip
        """strides: of w, from output to output and from channel to channel."""
        group, columns = int(record["groups"][0]), int(record["columns"][0])
        plan = plan_product(x_, y_, record, self.machine, room.budget)
        record["reduction"], record["splits"] = plan.reduction, plan.splits
        record["slope"], record["biased"] = slope, b is not None
        record["paired"] = columns % 2 == 0 and y_.wide(2)
        take = Taker(room.scratch)
        weights, planes = w, y
        if plan.operand is not None:
            weights = take(plan.packed)
            self._pack(w, weights, record, strides, plan)
        if plan.planes:
            planes = take(plan.planes)
        bias = weights if b is None else b
        common = (weights, bias, y)
        whole = plan.kernel not in (*table.SHORT.values(), table.NARROW)
        self._launch(plan, (x, *common, planes, record) if whole else (x, *common, record))
        if plan.splits > 1:
            count = group * int(record["pixels"][0]) * int(record["outputs"][0])
            self._each(table.FINISH, count, (planes, bias, y, record))

    def _pack(
        self, w: Array, packed: Array, record: Any, strides: tuple[int, int], plan: Plan
    ) -> None:
        g = np.zeros(1, PACKING)
        for name in ("outputs", "channels", "taps", "groups", "reduction", "columns"):
            g[name] = record[name]
        g["by_term"] = plan.by_term
        g["w_output"], g["w_channel"] = strides
        g["w_group"] = w.size // record["groups"]
        assert plan.operand is not None
        wide = 2 if plan.operand == table.PAIRS else 1
        threads = int(record["groups"][0]) * int(record["outputs"][0])
        threads *= int(record["channels"][0]) // wide
        self._each(table.PACK[plan.operand], threads, (w, packed, g))

    def weight_gradient(
        self, x: Array, dy: Array, dw: Array, window: Window, group: int, room: Room
    ) -> None:
        """Add to dw."""
        x_, dy_ = layout(x), layout(dy)
        record = correlation(x_, dy_, padded(window), group)
        plan = plan_gradient(x_, dy_, record, self.machine, room.budget)
        record["splits"] = plan.splits
        planes = room.scratch[: plan.planes]
        self._launch(plan, (x, dy, planes, record))
        rows, columns, taps = len(dw), dw.shape[1], window.volume
        counts = [np.int32(n) for n in (rows, columns, taps, plan.splits)]
        self._each(table.ADD_PLANES, rows * columns, (planes, dw, *counts))

    def output_gradient(self, y: Array, dy: Array, db: Array, slope: float, room: Room) -> None:
        """Add to db; y is read and dy changed where the slope is not 1.  y and db may be None."""
        rectify = slope != 1
        if not rectify and db is None:
            return
        dy_ = layout(dy)
        y_ = layout(y) if rectify else dy_
        quads = dy_.wide(4) and y_.wide(4)
        part, parts, across = plans.output_sums(dy_.pixels, dy_.channels, quads)
        g = np.zeros(1, OUTPUTS)
        g["pixels"], g["outputs"], g["part"] = dy_.pixels, dy_.channels, part
        g["size"], g["slope"] = dy_.size, slope
        for name, a in (("y", y_), ("dy", dy_)):
            g[f"{name}_image"], g[f"{name}_channel"] = a.image, a.channel
            g[f"{name}_axis"] = a.axis
        sums = room.scratch[: parts * dy_.channels]
        kernel = table.SUM_OUTPUTS[rectify, quads]
        args = (y if rectify else dy, dy, sums, g)
        self._function(kernel)((parts, across, 1), (kernel.threads, 1, 1), args, 0)
        if db is not None:
            counts = (np.int32(dy_.channels), np.int32(parts))
            self._each(table.ADD_SUMS, 32 * dy_.channels, (sums, db, *counts))

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


def backwards(x: Layout, y: Layout, window: Window, group: int) -> Any:
    """The record of a transpose."""
    tiles = window.tiling and not window.pointwise and window.inputs(x.size) == y.size
    return (painting if tiles else transposed)(x, y, window, group)


def plan_product(x: Layout, y: Layout, record: Any, machine: Machine, budget: int) -> Plan:
    group = int(record["groups"][0])
    return plans.product(record, _readable(x, group), y.wide(4), machine, budget)


def plan_gradient(x: Layout, dy: Layout, record: Any, machine: Machine, budget: int) -> Plan:
    group = int(record["groups"][0])
    quads = _readable(x, group) and _readable(dy, group)
    return plans.weight_gradient(record, quads, machine, budget)


def _readable(a: Layout, group: int) -> bool:
    """Four channels at a time, and counted in quads its offsets are 32-bit integers."""
    return a.wide(4, group) and a.span // 4 < 2**31
