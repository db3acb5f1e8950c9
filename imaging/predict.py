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
from ..net.captured import Captured
from ..net.limits import installed, room
from ..net.one_axis import geometries
from ..net.sizes import Geometry, local, trunk
from ..netspec import Graph
from . import tiles

AXES = ("depth", "height", "width")
MEMORY = 2 << 30  # bytes of activations
EVERY_COUNT = 64  # of tiles along an axis is tried up to here, then ever fewer


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

    net: a deploy net with one image input and scores as its only output; where: its file, for
    messages.  Arrays are (channels, *spatial) in, (classes, *spatial) out, in the net's dtype.
    exact: cut in tiles, an image gets the scores it has as a whole; a net that pads is not, and
    gets one tile only.  axes: spatial axes of the net, 2 or 3; geometries: along each of them, or,
    where they are known already, `along`.  padding: what lies beyond the image, "mirror" or "zero".
    said: told a line where a card cannot record its passes.
    """

    def __init__(
        self,
        net: Net,
        *,
        where: str = "",
        padding: str = "mirror",
        along: tuple[Geometry, ...] | None = None,
        said: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.net, self.where, self.padding = net, where or net.graph.path, padding
        self.output = only_output(net.graph, self.where)
        self.geometries = along or geometries(net.graph, net.layers, self.output)
        found = trunk(net.graph)
        assert found is not None  # or there were no geometry
        self.input = found[0].blob
        image = net.blobs[self.input].shape
        self.axes = len(image) - 2
        self.exact = local(found[1], net.layers, self.axes)
        self.channels = image[1]
        self.classes = net.blobs[self.output].shape[1]
        if self.classes == 1:
            raise ShapeError(
                f"the score '{self.output}' has one channel",
                where=self.where,
                expected="one for each class",
                remedy="Two classes need a score of two channels, trained with SoftmaxWithLoss",
            )
        self._memory: dict[tuple[int, ...], int] = {}
        self._passes = Captured(net, said, backward=False)

    def _check(self, shape: Sequence[int], *leading: str, where: str = "") -> None:
        """Raise ShapeError where this is no shape of the net's images: of their spatial axes,
        behind the `leading` ones."""
        axes, found = (*leading, *AXES[-self.axes :]), " x ".join(map(str, shape))
        if len(shape) != len(axes):
            raise ShapeError(
                "the image has another number of axes than the net",
                where=where,
                expected=f"({', '.join(axes)})",
                found=found,
            )
        if not all(shape):
            raise ShapeError("the image has no pixel", where=where, found=found)

    # ------------------------------------------------------------------ choosing tiles

    def memory(self, inputs: Sequence[int]) -> int:
        """Bytes of activations and scratch for tiles of this size; nothing is allocated."""
        key = tuple(inputs)
        if key not in self._memory:
            self._memory[key] = self.net.planned_bytes({self.input: (1, self.channels, *key)})
        return self._memory[key]

    def tiling(self, shape: Sequence[int], inputs: Sequence[int]) -> Tiling:
        """The tiling of an image of `shape` by tiles of `inputs` pixels.

        Raises ShapeError where such tiles do not fit the net, or would change the result, or this
        is no shape (*spatial) of an image.
        """
        self._check(shape)
        counts = tiles.counts(shape, inputs, self.geometries)
        if not self.exact and math.prod(counts) > 1:
            one = tiles.grid(shape, (1,) * len(shape), self.geometries)
            raise ShapeError(
                "the net pads its input, so tiles would change the result",
                where=self.where,
                expected=f"one tile of {'x'.join(map(str, one))} pixels",
                found=f"{'x'.join(map(str, counts))} tiles",
                remedy="Take one tile for the whole image: leave --tile-size out and, if need be, "
                "give more --memory",
            )
        pixels = math.prod(counts) * math.prod(inputs)
        return Tiling(tuple(inputs), counts, pixels, self.memory(inputs))

    def choose(
        self, shape: Sequence[int], *, budget: int | None = None, count: int | None = None
    ) -> Tiling:
        """The tiling with the fewest pixels to compute; where `budget` rules some out, one of few
        (memory does not quite grow with tiles, by which it is looked for).

        budget: bytes of activations it may use; count: how many tiles there should be (the nearest
        possible number).  Raises MemoryBudgetError where even the smallest tile needs more, and
        ShapeError where this is no shape (*spatial) of an image.
        """
        self._check(shape)
        candidates = list(self._candidates(shape))
        if budget is not None:
            del candidates[: self._too_large(candidates, budget)]
        best: tuple[tuple[int, int], tuple[int, ...]] | None = None
        for inputs in candidates:
            counts = tiles.counts(shape, inputs, self.geometries)
            distance = abs(math.prod(counts) - count) if count else 0
            rank = (distance, math.prod(counts) * math.prod(inputs))
            # planning a net takes longer than all else here
            better = best is None or rank < best[0]
            if better and (budget is None or self.memory(inputs) <= budget):
                best = (rank, inputs)
        if best is None:
            assert budget is not None
            smallest = min(candidates, key=self.memory)
            raise MemoryBudgetError(
                "even the smallest tile needs more memory than allowed"
                if self.exact
                else "the net pads its input, so the image must be one tile, and that needs more "
                "memory than allowed",
                expected=f"at most {_mib(budget)}",
                found=f"{_mib(self.memory(smallest))} for {'x'.join(map(str, smallest))} pixels",
                remedy="Give a larger --memory",
            )
        return self.tiling(shape, best[1])

    def _too_large(self, candidates: Sequence[tuple[int, ...]], budget: int) -> int:
        """How many of the candidates, which become smaller, can be passed over: they are too large.

        Found by halving.  Neighbours are not quite in order, so all those of one grid and the next
        are left in front of the first that fits."""
        low, high, last = 0, 0, len(candidates) - 1
        while high < last and self.memory(candidates[high]) > budget:
            low, high = high + 1, min(last, 2 * high + 1)
        while low < high:
            middle = (low + high) // 2
            if self.memory(candidates[middle]) > budget:
                low = middle + 1
            else:
                high = middle
        return max(0, low - 2 * 2 ** len(candidates[0]))

    def _candidates(self, shape: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Tiles worth trying, by their input size: as many along each axis as its length asks for,
        from one tile for the whole image to the smallest there is."""
        seen = set()
        for counts in self._grids(shape):
            inputs = tiles.grid(shape, counts, self.geometries)
            if inputs not in seen:
                seen.add(inputs)
                yield inputs

    def _grids(self, shape: Sequence[int]) -> Iterator[tuple[int, ...]]:
        yield (1,) * len(shape)
        if not self.exact:
            return
        most = tuple(-(-n // g.step) for n, g in zip(shape, self.geometries, strict=True))
        longest, n = max(shape), 1
        while n < max(most):
            wish = [max(1, round(n * size / longest)) for size in shape]
            for shift in itertools.product((0, 1), repeat=len(shape)):
                yield tuple(min(m, w + s) for m, w, s in zip(most, wish, shift, strict=True))
            n += max(1, n // EVERY_COUNT)
        yield most

    # ------------------------------------------------------------------ running

    def check(self, shape: Sequence[int], where: str = "") -> None:
        """Raise ShapeError unless this is the shape (channels, *spatial) of an image of the net's
        axes and channels."""
        self._check(shape, "channels", where=where)
        if shape[0] != self.channels:
            raise ShapeError(
                "the image has another number of channels than the net",
                where=where,
                expected=str(self.channels),
                found=str(shape[0]),
            )

    def cover(self, shape: Sequence[int], tiling: Tiling) -> list[tiles.Tile]:
        """The tiles of an image of `shape`."""
        return tiles.cover(shape, tiling.inputs, self.geometries)

    def scores(self, seen: np.ndarray, tile: tiles.Tile) -> np.ndarray:
        """What the net says of a tile of which it sees `seen` (channels, *spatial): scores
        (classes, *spatial), to be read before the next tile."""
        wanted = (1, *seen.shape)
        if self.net.blobs[self.input].shape != wanted:
            self.net.reshape({self.input: wanted})
        self.net.blobs[self.input].data[0] = seen
        self._passes.run()
        scores: np.ndarray = self.net.read(self.output, reuse=True)[0]
        return scores[(slice(None), *tile.crop)]

    def predict(
        self,
        image: np.ndarray,
        tiling: Tiling,
        on_tile: Callable[[int, int], None] | None = None,
        out: np.ndarray | None = None,
        where: str = "",
    ) -> np.ndarray:
        """Scores of an image (channels, *spatial), already normalised.

        on_tile(done, all) is called after each tile; out: where to write (classes, *spatial);
        where: the image's file, for messages.
        Raises ShapeError where the number of axes or channels differs from the net's.
        """
        self.check(image.shape, where)
        if out is None:
            out = np.empty((self.classes, *image.shape[1:]), self.net.dtype)
        cover = self.cover(image.shape[1:], tiling)
        for done, tile in enumerate(cover, 1):
            seen = tiles.read(image, tile, self.padding)
            out[(slice(None), *tile.write)] = self.scores(seen, tile)
            if on_tile is not None:
                on_tile(done, len(cover))
        return out


def default_budget(net: Net) -> int:
    """Bytes of activations: of a computer some, for others work on it too; of a card all that is
    free beside the parameters."""
    if net.device.free() is None:
        return min(MEMORY, installed() // 2)
    return max(0, room(net) - int(net.flat_data.nbytes))


def only_output(graph: Graph, where: str) -> str:
    """The blob of the scores; raises ShapeError unless the net has one output."""
    if len(graph.outputs) != 1:
        raise ShapeError(
            f"the net has {'more than one output' if graph.outputs else 'no output'}",
            where=where,
            expected="one, the scores",
            found=", ".join(value.blob for value in graph.outputs) or None,
            remedy="Remove the others from the deploy prototxt" if graph.outputs else "",
        )
    return graph.outputs[0].blob


def _mib(size: int) -> str:
    """As MiB; small sizes with digits enough to differ from 0."""
    return f"{size / 2**20:.3g} MiB" if size < 10 << 20 else f"{size / 2**20:.0f} MiB"


def largest(scores: np.ndarray) -> np.ndarray:
    """The class whose score is the largest, along the first axis; the first of equal ones, and of
    those that are not a number.  uint8, above 256 classes uint16."""
    if len(scores) == 2:  # fifty times as fast
        first, second = scores
        found: np.ndarray = ~((second <= first) | np.isnan(first))
        return found.view(np.uint8)
    return scores.argmax(axis=0).astype(np.uint8 if len(scores) <= 256 else np.uint16)


def softmax(scores: np.ndarray) -> np.ndarray:
    """p_k = exp(s_k) / sum_j exp(s_j) along the first axis, written over `scores`."""
    scores -= scores.max(axis=0, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=0, keepdims=True)
    return scores
