"""What launching a convolution's kernels takes, apart from addresses: found once for a layer.

The records are those of geometry.cuh (`Geometry`), weights.cu (`Packing`) and outputs.cu
(`Outputs`); nobody may change them.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..im2col import Sizes, Window
from . import plans, table
from .geometry import AXES, Layout, correlation, padded, painting, transposed
from .plans import Machine, Plan

KEPT = 4096  # of the most recent layers

PACKING = np.dtype(
    [
        *((name, np.int32) for name in ("outputs", "channels", "taps", "groups")),
        *((name, np.int32) for name in ("reduction", "columns", "by_term", "block")),
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


class Product(NamedTuple):
    """How y is made from x and packed weights."""

    plan: Plan
    record: Any
    packing: Any
    packers: int  # threads that pack the weights
    results: int  # threads that add planes of y, of which each has four outputs, if quads
    quads: bool


class Gradient(NamedTuple):
    """How planes of a weight gradient are made."""

    plan: Plan
    record: Any


class Sums(NamedTuple):
    """How y's gradient is rectified and summed."""

    record: Any
    quads: bool
    parts: int
    across: int  # blocks for all outputs


@lru_cache(maxsize=KEPT)
def product(
    x: Layout, y: Layout, w: Sizes, window: Window, group: int, transpose: bool, slope: float,
    biased: bool, machine: Machine, budget: int, cut: bool = False,
) -> Product:  # fmt: skip
    """Of a correlation, or of the other way; w: the weights' shape; cut: by an array like y."""
    window = padded(window)
    tiles = window.tiling and not window.pointwise and window.inputs(x.size) == y.size
    make = (painting if tiles else transposed) if transpose else correlation
    record = make(x, y, window, group)
    plan = plans.product(record, readable(x, group), y.wide(4), transpose, machine, budget)
    record["reduction"], record["splits"] = plan.reduction, plan.splits
    record["slope"], record["biased"], record["cut"] = slope, biased, cut
    record["paired"] = record["columns"] % 2 == 0 and y.wide(2)

    packing = np.zeros(1, PACKING)
    for name in ("outputs", "channels", "taps", "groups", "reduction", "columns"):
        packing[name] = record[name]
    along_rows, along_columns = w[1] * window.volume, window.volume
    if transpose:
        along_rows, along_columns = along_columns, along_rows
    packing["w_output"], packing["w_channel"] = along_rows, along_columns
    packing["w_group"], packing["by_term"] = prod(w) // group, plan.by_term
    packing["block"] = plan.block or record["channels"]

    outputs, channels = int(record["outputs"][0]), int(record["channels"][0])
    packers = group * outputs * (channels // 2 if plan.operand == table.PAIRS else channels)
    quads = int(record["columns"][0]) % 4 == 0 and y.wide(4)
    results = group * outputs * int(record["pixels"][0]) // (4 if quads else 1)
    return Product(plan, _kept(record), _kept(packing), packers, results, quads)


@lru_cache(maxsize=KEPT)
def gradient(
    x: Layout, dy: Layout, window: Window, group: int, machine: Machine, budget: int,
    biased: bool = False,
) -> Gradient:  # fmt: skip
    """Of a correlation's weights, and of its bias, where the kernel makes that as well."""
    record = correlation(x, dy, padded(window), group)
    quads = readable(x, group), readable(dy, group)
    plan = plans.weight_gradient(record, *quads, machine, budget)
    record["splits"], record["biased"] = plan.splits, biased and plan.sums > 0
    return Gradient(plan, _kept(record))


@lru_cache(maxsize=KEPT)
def sums(y: Layout, dy: Layout, slope: float) -> Sums:
    """Of all outputs."""
    quads = dy.wide(4) and y.wide(4)
    part, parts, across = plans.output_sums(dy.pixels, dy.channels, quads)
    record = np.zeros(1, OUTPUTS)
    record["pixels"], record["outputs"], record["part"] = dy.pixels, dy.channels, part
    record["size"], record["slope"] = dy.size, slope
    for name, a in (("y", y), ("dy", dy)):
        record[f"{name}_image"], record[f"{name}_channel"] = a.image, a.channel
        record[f"{name}_axis"] = a.axis
    return Sums(_kept(record), quads, parts, across)


def readable(a: Layout, group: int) -> bool:
    """Four channels at a time, and counted in quads its offsets are 32-bit integers."""
    return a.wide(4, group) and a.span // 4 < 2**31


def _kept(record: Any) -> Any:
    record.setflags(write=False)
    return record
