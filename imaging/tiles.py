"""The overlap-tile strategy: an image of any size, segmented in tiles a net accepts.

An unpadded net answers for the middle of what it sees.  A tile therefore reads its output region
plus a border on every side, and beyond the image's edge the image goes on mirrored (the paper,
section 2, figure 2).  Two rules make the seams exact:

* tile origins are multiples of the net's step (the product of its pooling strides), so every tile
  pools on the grid on which the whole image would be pooled;
* the mirrored image is one fixed infinite image, so what a tile sees does not depend on the tile.

With them tiled prediction equals whole-image prediction up to the rounding of the arithmetic.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..data.crops import mirror
from ..errors import ShapeError
from ..net.sizes import Geometry

Slices = tuple[slice, ...]


@dataclass(frozen=True)
class Tile:
    """read: where its input lies, in pixels of the image (may reach beyond it); write: what it
    fills of the result; crop: the part of the net's output that is written there."""

    read: Slices
    write: Slices
    crop: Slices


def cover(
    shape: Sequence[int], inputs: Sequence[int], geometries: Sequence[Geometry]
) -> list[Tile]:
    """Tiles that together fill a result of `shape`, each seen by the net as `inputs` pixels;
    geometries: of the net along each axis.

    Every pixel is written exactly once.  Raises ShapeError where `inputs` is not legal.
    """
    axes = []
    for size, n, geometry in zip(shape, inputs, geometries, strict=True):
        apart = stride(size, n, geometry)
        spans = []
        for origin in range(0, size, apart):
            end = min(origin + apart, size)
            start = origin - geometry.before
            spans.append((slice(start, start + n), slice(origin, end), slice(0, end - origin)))
        axes.append(spans)
    return [Tile(*zip(*spans, strict=True)) for spans in itertools.product(*axes)]


def stride(size: int, n: int, geometry: Geometry) -> int:
    """How far apart tiles of n pixels lie along an axis of `size`; ShapeError as for `cover`."""
    check_legal(n, geometry)
    out = geometry.output_of(n)
    apart = out if out >= size else out // geometry.step * geometry.step
    if apart < 1:
        least = geometry.input_for(geometry.step)
        raise ShapeError(
            f"a tile of {n} pixels answers for {out}, less than the step of {geometry.step}",
            remedy=f"Take at least {least} pixels, or one tile for the whole image",
        )
    return apart


def counts(
    shape: Sequence[int], inputs: Sequence[int], geometries: Sequence[Geometry]
) -> tuple[int, ...]:
    """How many tiles `cover` lays along each axis."""
    axes = zip(shape, inputs, geometries, strict=True)
    return tuple(-(-size // stride(size, n, geometry)) for size, n, geometry in axes)


def check_legal(n: int, geometry: Geometry) -> None:
    """Raise ShapeError with the nearest legal sizes where the net does not accept n pixels."""
    if not geometry.is_legal(n):
        near = sorted(set(geometry.nearest(n)))
        raise ShapeError(
            f"a tile of {n} pixels does not fit this net",
            expected=" or ".join(f"{m} (answers for {geometry.output_of(m)})" for m in near),
            remedy=f"Legal tiles are {geometry.smallest} + k * {geometry.step} pixels",
        )


class Sliced(Protocol):
    """An image (channels, *spatial) of which parts can be had: an array, or one in a file."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, at: Slices, /) -> np.ndarray: ...


def read(image: Sliced, tile: Tile, padding: str = "mirror") -> np.ndarray:
    """The input of a tile from an image (channels, *spatial); beyond the edges `cut` says what."""
    spatial = image.shape[1:]
    inside = all(s.start >= 0 and s.stop <= n for s, n in zip(tile.read, spatial, strict=True))
    if inside:
        return image[(slice(None), *tile.read)]
    start = [s.start for s in tile.read]
    return cut(image, start, [s.stop - s.start for s in tile.read], padding)


def cut(image: Sliced, start: Sequence[int], size: Sequence[int], padding: str) -> np.ndarray:
    """The part (channels, *size) of an image (channels, *spatial) from `start` on; beyond the edges
    the image goes on mirrored (padding "mirror", without its edge twice) or is 0 ("zero")."""
    spatial = image.shape[1:]
    indices = [np.arange(s, s + n) for s, n in zip(start, size, strict=True)]
    folded = [mirror(i, n) for i, n in zip(indices, spatial, strict=True)]
    needed = tuple(slice(int(f.min()), int(f.max()) + 1) for f in folded)
    part = image[(slice(None), *needed)]
    for axis, (index, box) in enumerate(zip(folded, needed, strict=True), 1):
        part = part.take(index - box.start, axis)
    if padding == "zero":
        for axis, (index, n) in enumerate(zip(indices, spatial, strict=True), 1):
            part[(slice(None),) * axis + ((index < 0) | (index >= n),)] = 0
    return part


def grid(
    shape: Sequence[int], counts: Sequence[int], geometries: Sequence[Geometry]
) -> tuple[int, ...]:
    """The input size of tiles that cover `shape` with at most `counts` tiles along each axis."""
    sizes = []
    for size, count, geometry in zip(shape, counts, geometries, strict=True):
        share = -(-size // count)
        # several tiles must meet on the pooling grid; a single one need not
        out = size if count == 1 else -(-share // geometry.step) * geometry.step
        sizes.append(geometry.input_for(out))
    return tuple(sizes)
