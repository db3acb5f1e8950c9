"""Segmenting an image with a net, tile by tile.

    normalise -> mirror beyond the edges -> tiles through the net -> scores (classes, H, W)

Source: the paper's section 2; the tile geometry is `tiles`, the legal sizes come from the net.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import MemoryBudgetError, ShapeError
from ..net import Net
from ..net.sizes import Geometry, geometry
from . import tiles

MOST_TILES = 64  # along one axis, when a tiling is searched for


@dataclass(frozen=True)
class Tiling:
    """How an image is cut: tiles of `inputs` pixels, `counts` of them along each axis; `pixels` the
    net reads in all, `memory` bytes of the net's activations."""

    inputs: tuple[int, ...]
    counts: tuple[int, ...]
    pixels: int
    memory: int

    def __str__(self) -> str:
        size, counts = "x".join(map(str, self.inputs)), "x".join(map(str, self.counts))
        return f"{counts} tiles of {size} pixels, {self.memory / 2**20:.0f} MiB of activations"


class Predictor:
    """A net that segments images of any size.

    net: a deploy net with one image input and scores as an output; output: which one (default: the
    only one).  Arrays are (channels, *spatial) in, (classes, *spatial) out, in the net's dtype.
    """

    def __init__(self, net: Net, output: str = "") -> None:
        self.net = net
        if not output and len(net.outputs) != 1:
            raise ShapeError(
                "the net has more than one output",
                where=net.graph.path,
                found=", ".join(net.outputs),
                remedy="Say which one holds the scores",
            )
        self.output = output or net.outputs[0]
        self.input = net.inputs[0]
        self.geometry: Geometry = geometry(net.graph, net.layers, self.output)
        self.channels = net.blobs[self.input].shape[1]
        self.classes = net.blobs[self.output].shape[1]
        self._memory: dict[tuple[int, ...], int] = {}

    # ------------------------------------------------------------------ choosing tiles

    def memory(self, inputs: Sequence[int]) -> int:
        """Bytes of activations and scratch for tiles of this size; nothing is allocated."""
        key = tuple(inputs)
        if key not in self._memory:
            self._memory[key] = self.net.planned_bytes({self.input: (1, self.channels, *key)})
        return self._memory[key]

    def tiling(self, shape: Sequence[int], inputs: Sequence[int]) -> Tiling:
        """The tiling of an image of `shape` by tiles of `inputs` pixels."""
        found = tiles.cover(shape, inputs, self.geometry)
        counts = tuple(len({tile.write[a].start for tile in found}) for a in range(len(shape)))
        pixels = len(found) * int(np.prod(inputs, dtype=np.int64))
        return Tiling(tuple(inputs), counts, pixels, self.memory(inputs))

    def choose(
        self, shape: Sequence[int], *, budget: int | None = None, count: int | None = None
    ) -> Tiling:
        """The tiling with the fewest pixels to compute.

        budget: bytes of activations it may use; count: how many tiles there should be (the nearest
        possible number).  Raises MemoryBudgetError where even the smallest tile needs more.
        """
        best: tuple[tuple[int, int], Tiling] | None = None
        smallest: Tiling | None = None
        for counts in self._candidates(shape):
            inputs = tiles.grid(shape, counts, self.geometry)
            pixels = math.prod(inputs) * math.prod(counts)
            distance = abs(math.prod(counts) - count) if count else 0
            if best is not None and (distance, pixels) >= best[0]:
                continue
            tiling = Tiling(inputs, counts, pixels, self.memory(inputs))
            if smallest is None or tiling.memory < smallest.memory:
                smallest = tiling
            if budget is None or tiling.memory <= budget:
                best = ((distance, pixels), tiling)
        if best is None:
            assert smallest is not None and budget is not None
            raise MemoryBudgetError(
                "even the smallest tile needs more memory than allowed",
                expected=f"at most {budget / 2**20:.0f} MiB",
                found=f"{smallest.memory / 2**20:.0f} MiB for {smallest.inputs} pixels",
                remedy="Give a larger --memory",
            )
        return best[1]

    def _candidates(self, shape: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Tile counts worth trying: as square as the image, from one tile to many."""
        most = [min(MOST_TILES, max(1, -(-size // self.geometry.step))) for size in shape]
        longest = max(shape)
        seen = set()
        for n in range(1, max(most) + 1):
            wish = [max(1, round(n * size / longest)) for size in shape]
            for shift in itertools.product((0, 1), repeat=len(shape)):
                counts = tuple(min(m, w + s) for m, w, s in zip(most, wish, shift, strict=True))
                if counts not in seen:
                    seen.add(counts)
                    yield counts

    # ------------------------------------------------------------------ running

    def predict(
        self,
        image: np.ndarray,
        tiling: Tiling,
        on_tile: Callable[[int, int], None] | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Scores of an image (channels, *spatial), already normalised.

        on_tile(done, all) is called after each tile; out: where to write (classes, *spatial).
        Raises ShapeError where the number of channels differs from the net's.
        """
        if image.shape[0] != self.channels:
            raise ShapeError(
                "the image has another number of channels than the net",
                expected=str(self.channels),
                found=str(image.shape[0]),
            )
        if out is None:
            out = np.empty((self.classes, *image.shape[1:]), self.net.dtype)
        wanted = (1, self.channels, *tiling.inputs)
        if self.net.blobs[self.input].shape != wanted:
            self.net.reshape({self.input: wanted})
        cover = tiles.cover(image.shape[1:], tiling.inputs, self.geometry)
        for done, tile in enumerate(cover, 1):
            self.net.blobs[self.input].data[0] = tiles.read(image, tile)
            self.net.forward()
            scores = self.net.blobs[self.output].data[0]
            out[(slice(None), *tile.write)] = scores[(slice(None), *tile.crop)]
            if on_tile is not None:
                on_tile(done, len(cover))
        return out


def softmax(scores: np.ndarray) -> np.ndarray:
    """p_k = exp(s_k) / sum_j exp(s_j) along the first axis, written over `scores`."""
    scores -= scores.max(axis=0, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=0, keepdims=True)
    return scores
