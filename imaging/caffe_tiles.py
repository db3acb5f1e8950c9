"""The tiles of caffe_unet, the engine behind the Fiji plugin.

With d[i] pixels at the deepest level along axis i, a tile reads f d + padInput pixels and answers
for f d + padOutput of them (f: downsampleFactor).  Tiles lie one answer apart from each other, so
they shift the grid on which the net pools, and their seams are not exactly those of the whole
image; aligned, they lie a multiple of f apart instead, and are (imaging/tiles.py).

    by_number   at most N tiles in all, and as many as possible; of these the smallest (2-D)
    by_grid     ny x nx (or nz x ny x nx) tiles, as large as that asks for
    by_size     tiles that answer for at least this many pixels
    by_pixels   tiles that read at most P pixels, with the fewest pixels read in all (2-D)

Source: src/caffe/util/tiled_predict.cpp of caffe_unet (2019).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..errors import MemoryBudgetError, ShapeError

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Pads:
    """What a model definition says of its net: downsampleFactor, padInput, padOutput per axis."""

    factor: Sizes
    input: Sizes
    output: Sizes

    @property
    def border(self) -> Sizes:
        """Pixels that a tile reads ahead of those it answers for."""
        return tuple(
            math.floor((i - o) / 2 + 0.5) for i, o in zip(self.input, self.output, strict=True)
        )

    @property
    def least(self) -> Sizes:
        """The smallest input: a tile that answers for a pixel along each axis."""
        return self.tile((1,) * len(self.factor)).inputs

    def tile(self, answers: Iterable[int]) -> Tile:
        """The smallest tile that answers for at least that many pixels along each axis."""
        deep = [
            max(-(-(n - o) // f), 0)
            for n, o, f in zip(answers, self.output, self.factor, strict=True)
        ]
        return Tile(
            tuple(f * d + p for f, d, p in zip(self.factor, deep, self.input, strict=True)),
            tuple(f * d + p for f, d, p in zip(self.factor, deep, self.output, strict=True)),
        )


@dataclass(frozen=True)
class Tile:
    """Pixels that a tile reads, and those it answers for, along each axis."""

    inputs: Sizes
    outputs: Sizes


@dataclass(frozen=True)
class Layout:
    """Equal tiles, `apart` pixels from each other, `counts` along each axis."""

    tile: Tile
    apart: Sizes
    counts: Sizes

    @property
    def number(self) -> int:
        return math.prod(self.counts)

    def origins(self) -> Iterator[Sizes]:
        """The first pixel each tile answers for, row by row."""
        for index in itertools.product(*map(range, self.counts)):
            yield tuple(i * n for i, n in zip(index, self.apart, strict=True))


def lay(shape: Sequence[int], tile: Tile, pads: Pads, *, aligned: bool = False) -> Layout:
    """Tiles of one size over an image.  ShapeError where aligned tiles would not get ahead."""
    apart = tile.outputs
    if aligned:
        apart = tuple(
            out if out >= size else out // f * f
            for out, size, f in zip(tile.outputs, shape, pads.factor, strict=True)
        )
        if min(apart) < 1:
            raise ShapeError(
                f"tiles of {_by(tile.inputs)} pixels answer for {_by(tile.outputs)}",
                expected=f"at least {_by(pads.factor)} where they are aligned",
                remedy="Take larger tiles",
            )
    counts = tuple(-(-size // step) for size, step in zip(shape, apart, strict=True))
    return Layout(tile, apart, counts)


def by_grid(shape: Sequence[int], counts: Sequence[int], pads: Pads, *, aligned: bool) -> Layout:
    share = [-(-size // n) for size, n in zip(shape, counts, strict=True)]
    if aligned:  # several must lie multiples of the factor apart
        share = [
            s if n == 1 else -(-s // f) * f
            for s, n, f in zip(share, counts, pads.factor, strict=True)
        ]
    return lay(shape, pads.tile(share), pads, aligned=aligned)


def by_size(shape: Sequence[int], size: Sequence[int], pads: Pads, *, aligned: bool) -> Layout:
    return lay(shape, pads.tile(size), pads, aligned=aligned)


def by_number(shape: Sequence[int], number: int, pads: Pads, *, aligned: bool) -> Layout:
    """ShapeError in 3-D, as in caffe_unet."""
    _check_flat(shape, "-n_tiles with one number", "Give a grid, such as -n_tiles 1x2x2")
    best: tuple[tuple[int, int], Layout] | None = None
    for ny in range(1, min(number, shape[0]) + 1):
        for nx in range(1, min(number // ny, shape[1]) + 1):
            layout = by_grid(shape, (ny, nx), pads, aligned=aligned)
            rank = (-layout.number, math.prod(layout.tile.inputs))
            if best is None or rank < best[0]:
                best = rank, layout
    assert best is not None
    return best[1]


def by_pixels(shape: Sequence[int], pixels: int, pads: Pads, *, aligned: bool) -> Layout:
    """ShapeError in 3-D; MemoryBudgetError where the smallest tile is larger."""
    _check_flat(shape, "a tiling by memory", "Give a grid, such as -n_tiles 1x2x2")
    best: tuple[int, Layout] | None = None
    for ny in _worth_trying(shape[0]):
        for nx in _worth_trying(shape[1]):
            layout = by_grid(shape, (ny, nx), pads, aligned=aligned)
            read = math.prod(layout.tile.inputs)
            if read <= pixels and (best is None or read * layout.number < best[0]):
                best = read * layout.number, layout
    if best is None:
        raise MemoryBudgetError(
            "out of memory: even the smallest tile is larger than allowed",
            expected=f"at most {pixels} pixels",
            found=f"{_by(pads.least)} pixels",
            remedy="Allow more",
        )
    return best[1]


def _worth_trying(size: int) -> list[int]:
    """The counts of tiles that give different shares of an axis."""
    return sorted({-(-size // -(-size // n)) for n in range(1, size + 1)})


def _check_flat(shape: Sequence[int], what: str, remedy: str) -> None:
    if len(shape) != 2:
        raise ShapeError(f"{what} is for 2-D models only", found=f"{len(shape)}-D", remedy=remedy)


def _by(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
