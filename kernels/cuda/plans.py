"""Which kernel computes a product, how it is cut, and what scratch that takes.  Pure.

A product with fewer blocks than the card has processors is cut along its reduction too; the parts
are added in a fixed order.  So results depend on the card's number of processors, but never on the
run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from . import table
from .table import Kernel, Tile


class Machine(NamedTuple):
    """What of a device decides."""

    precision: str
    capability: int
    processors: int
    warpgroups: bool = False  # whether four warps may make one product

    @property
    def mode(self) -> str | None:
        """How tensor cores multiply; None where CUDA cores do."""
        if self.capability < table.TENSOR_CAPABILITY:
            return None
        return table.MODES.get(self.precision)


class Plan(NamedTuple):
    """A kernel, its grid, and parts of the scratch, in elements."""

    kernel: Kernel
    grid: tuple[int, int, int]
    splits: int = 1
    reduction: int = 0  # terms of a row of packed weights
    operand: str | None = None  # how weights are packed
    by_term: bool = False
    block: int = 0  # channels whose taps stand together in a row of weights; 0: all
    packed: int = 0
    planes: int = 0
    sums: int = 0  # of what planes are made from, for the bias, where the kernel makes them as well
    shared: int = 0  # bytes, beside what the table says

    @property
    def scratch(self) -> int:
        return self.packed + self.planes + self.sums


def product(
    record: Any, quads: bool, wide: bool, turned: bool, machine: Machine, budget: int
) -> Plan:
    """Who computes y; quads: x may be read, wide: y may be written four channels at a time; turned:
    the weights are not a row for each output."""
    g = _Counts.of(record)
    terms = g.taps * g.channels
    direct = g.groups == 1 and g.columns == g.outputs
    if direct and terms <= table.SHORT_TERMS:
        shared = g.outputs * (terms + 1) * 4
        if shared <= table.SHORT_SHARED:
            lanes = 4 if wide else 1
            threads = g.outputs // lanes * -(-g.pixels // table.SHORT_PIXELS)
            return Plan(
                table.SHORT[lanes],
                (-(-threads // table.SHORT[lanes].threads), 1, 1),
                reduction=terms,
                operand=table.FLOAT,
                by_term=True,
                packed=_quads(terms * g.outputs),
                shared=shared,
            )
    narrow = g.taps == 1 and g.plain and g.outputs <= table.NARROW_OUTPUTS
    shared = table.NARROW_OUTPUTS * g.channels * 4
    if direct and narrow and quads and shared <= table.SHORT_SHARED:
        pixels = table.NARROW.threads // table.NARROW_LANES
        return Plan(
            table.NARROW,
            (-(-g.pixels // pixels), 1, 1),
            reduction=terms,
            operand=table.FLOAT if turned else None,
            packed=_quads(terms * g.outputs) if turned else 0,
            shared=shared,
        )
    mode = machine.mode if quads and g.taps <= table.TENSOR_TAPS else None
    operand = table.FLOAT if mode is None else table.OPERANDS[mode]
    tiles = table.CONVOLVE_SIMT[quads] if mode is None else table.CONVOLVE[mode]
    block = 0
    if machine.warpgroups and g.in_blocks and mode in table.CONVOLVE_WARPGROUPS:
        tiles, block = table.CONVOLVE_WARPGROUPS[mode], table.BLOCK
        operand = table.SPLIT if mode == table.TF32X3 else operand
    depth = tiles[0].depth
    reduction = -(-terms // depth) * depth
    words = table.WORDS.get(operand, 1)
    packed = _quads(int(g.groups * g.outputs * reduction * words))
    plane = g.groups * g.pixels * g.outputs
    most = max(0, budget - packed) // plane
    sizes = (g.pixels, g.outputs, reduction, g.groups)
    tile, splits = _cut(tiles, *sizes, most, mode, machine.processors)
    return Plan(
        tile.kernel,
        (-(-g.pixels // tile.rows), -(-g.outputs // tile.columns), g.groups * splits),
        splits,
        reduction,
        operand,
        mode is None,
        block,
        packed,
        _quads(splits * plane) if splits > 1 else 0,
        shared=table.TAP * g.taps if mode is None else 0,
    )


def weight_gradient(
    record: Any, x_quads: bool, dy_quads: bool, machine: Machine, budget: int
) -> Plan:
    """Who computes planes of dw from the forward pass's record; x_quads, dy_quads: the array may be
    read four channels at a time."""
    g = _Counts.of(record)
    quads = x_quads and dy_quads
    mode = machine.mode if quads and g.taps <= table.TENSOR_TAPS else None
    tiles = table.WEIGHT_GRADIENT_SIMT[quads] if mode is None else table.WEIGHT_GRADIENT[mode]
    if machine.warpgroups and g.in_blocks and mode in table.GRADIENT_WARPGROUPS:
        tiles = table.GRADIENT_WARPGROUPS[mode]
    columns = g.taps * g.channels
    plane = g.groups * g.outputs * columns
    most = min(max(table.PLANES, 2 * plane), budget) // plane
    narrow = g.taps == 1 and bool(g.plain) and g.outputs <= min(table.NARROW_OUTPUTS, columns)
    short = columns < table.DIRECT_FEW or (mode is None and columns <= table.SHORT_TERMS)
    if g.groups == 1 and (narrow or short):
        return _direct_gradient(g, narrow, x_quads if narrow else dy_quads, most, machine)
    sizes = (g.outputs, columns, g.pixels, g.groups)
    least = 1 if mode is None else -(-g.pixels // table.CHAIN[mode])
    tile, splits = _cut(tiles, *sizes, most, mode, machine.processors, least)
    return Plan(
        tile.kernel,
        (-(-g.outputs // tile.rows), -(-columns // tile.columns), g.groups * splits),
        splits,
        planes=_quads(splits * plane),
        sums=splits * g.groups * g.outputs if tile.kernel.file in table.SUMMING else 0,
    )


def _direct_gradient(g: _Counts, narrow: bool, quads: bool, most: int, machine: Machine) -> Plan:
    """Of few outputs, or of few columns: two blocks a processor, in at most so many parts."""
    columns = g.taps * g.channels
    few, many = (g.outputs, columns) if narrow else (columns + 1, g.outputs)
    across = -(-many // (4 if quads else 1) // table.DIRECT_LANES)
    deep = -(-few // table.DIRECT_FEW)
    splits = min(2 * machine.processors // (across * deep), g.pixels // table.DIRECT_PART)
    splits = max(1, min(max(splits, -(-g.pixels // table.DIRECT_CHAIN)), most))
    return Plan(
        table.WEIGHT_GRADIENT_DIRECT[narrow, quads],
        (across, deep, splits),
        splits,
        planes=_quads(splits * g.outputs * columns),
        sums=0 if narrow else splits * g.outputs,
    )


def output_sums(pixels: int, outputs: int, quads: bool) -> tuple[int, int, int]:
    """Pixels of one part, parts, and blocks across the outputs; the same on every card."""
    across = -(-outputs // (128 if quads else 8))
    part = max(16, -(-pixels * across // table.PARTS))
    return part, -(-pixels // part), across


class _Counts(NamedTuple):
    """A record's counts as Python's integers, which do not overflow."""

    pixels: int
    channels: int
    outputs: int
    groups: int
    taps: int
    columns: int
    plain: int

    @property
    def in_blocks(self) -> bool:
        """Whether channels come in whole blocks, as warpgroups take them."""
        return self.channels % table.BLOCK == 0

    @classmethod
    def of(cls, record: Any) -> _Counts:
        return cls(*(int(record[name][0]) for name in cls._fields))


def _quads(elements: int) -> int:
    """Rounded up, so that what follows is aligned."""
    return -(-elements // 4) * 4


def _cut(
    tiles: Sequence[Tile], rows: int, columns: int, terms: int, groups: int, most: int,
    mode: str | None, processors: int, least: int = 1,
) -> tuple[Tile, int]:  # fmt: skip
    """Which tile, and in how many parts the reduction is cut: what should take the shortest time,
    of `least` parts and more where so many are allowed.

    The busiest processor counts; two blocks at once, where they fit, keep it busy, one of them half
    of the time; of CUDA cores as many as have enough threads.  Large tiles bring less for each
    product, parts have to be added.
    """

    def time(choice: tuple[Tile, int]) -> float:
        tile, splits = choice
        blocks = -(-rows // tile.rows) * -(-columns // tile.columns) * groups * splits
        busy = 2 if mode else table.CORES_BUSY // tile.kernel.threads
        turns = max(-(-blocks // processors), min(busy, tile.resident)) / splits
        each = 1 + tile.row / tile.columns + tile.column / tile.rows
        found = turns * tile.rows * tile.columns * each * terms
        if splits > 1:
            found += table.PLANE[mode] * splits * rows * columns * groups / processors
        return found

    choices: list[tuple[Tile, int]] = []
    for tile in tiles:
        allowed = _most_splits(-(-terms // tile.depth), most, groups, mode)
        choices += [(tile, splits) for splits in range(min(least, allowed), allowed + 1)]
    return min(choices, key=time)


def _most_splits(depth: int, most: int, groups: int, mode: str | None) -> int:
    allowed = min(table.MOST_SPLITS[mode], table.DEEPEST // groups)
    return max(1, min(most, depth // table.SPLIT_BLOCKS, allowed))
