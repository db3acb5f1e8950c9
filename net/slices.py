"""Bottoms of a Concat that lie in its top, so that nothing is copied, forward and backward.

Whoever makes such a bottom writes it to where the Concat would have copied it, and finds its
gradient where the Concat got it.  Both lie in one buffer, of which each part is needed at steps of
its own.  That must not be seen:

    the bottom is a contiguous part of the top                     `Layer.slices`
    it has one place: the first Concat that takes it               and is no input
    it is complete when the Concat runs, and stays as it is as long as either is read
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

from ..layers.base import Layer
from ..netspec.graph import Graph, Node, Value
from .arena import Lifetime, Part
from .inference import Inferred
from .uses import BEFORE, Uses

# what an array is for: ("data", value), ("diff", value), ("saved", node, k) or
# ("scratch", node, "forward", "again" or "backward")
Key = tuple[Any, ...]
Spans = dict[Key, list[tuple[int, int]]]  # from step to step, in order


def find(
    graph: Graph,
    layers: Sequence[Layer],
    inferred: Inferred,
    uses: Uses,
    spans: Spans,
    alias: Mapping[Key, Key],
    zero: Collection[Value],
    itemsize: int,
) -> dict[Key, tuple[Key, int]]:
    """Which array lies in which other one, and from which byte on."""
    inside: dict[Key, tuple[Key, int]] = {}

    def put(key: Key, into: Key, start: int) -> None:
        while key in alias:
            key = alias[key]
        while into in alias:
            into = alias[into]
        if key in spans and into in spans and key not in inside and key != into:
            inside[key] = (into, start * itemsize)

    for node, layer in zip(graph.nodes, layers, strict=True):
        starts = layer.slices(*(inferred.values[value] for value in node.bottoms))
        for bottom, start in zip(node.bottoms, starts, strict=False):
            if start is None:
                continue
            if _stays(layers, uses, node, bottom):
                put(("data", bottom), ("data", node.tops[0]), start)
            if uses.runs[node.index] and node.tops[0] not in zero:
                put(("diff", bottom), ("diff", node.tops[0]), start)
    return inside


def interleave(
    inside: dict[Key, tuple[Key, int]],
    last: Collection[Key],
    shapes: Mapping[Key, tuple[tuple[int, ...], Any]],
    sizes: dict[Key, int],
) -> dict[Key, tuple[int, int]]:
    """Of arrays stored channels last that lie in others: from which channel on, of how many.

    Such an array is spread over all of the outer one: in `inside` it starts where that starts, and
    has its size.  Where only one of the two is stored so, the array gets a place of its own."""
    for key, (into, _) in list(inside.items()):
        if (key in last) != (into in last):
            del inside[key]
    channel: dict[Key, int] = {}
    for key, (into, start) in inside.items():
        if key in last:
            shape, dtype = shapes[into]
            channel[key] = start // (dtype.itemsize * prod(shape[2:]))
    among = {}
    for key in channel:
        outer, first = key, 0
        while outer in inside:
            first += channel[outer]
            outer = inside[outer][0]
        among[key] = (first, shapes[outer][0][1])
    for key in channel:
        inside[key] = (inside[key][0], 0)
        outer = key
        while outer in inside:
            outer = inside[outer][0]
        sizes[key] = sizes[outer]
    return among


def _stays(layers: Sequence[Layer], uses: Uses, node: Node, bottom: Value) -> bool:
    """Whether a bottom's data may lie in the top's until they are read for the last time."""
    mine = uses.group[uses.root[bottom]]
    joined = uses.group[uses.root[node.tops[0]]]
    complete = all(BEFORE < uses.written[value] < node.index for value in mine)
    overwritten = max(  # by a layer that works in place on the top
        (
            uses.written[value]
            for value in joined
            if value != node.tops[0] and not layers[uses.written[value]].shares_data
        ),
        default=None,
    )
    read_later = any(uses.later(value, node.index) for value in mine)
    return complete and (overwritten is None or not read_later)


@dataclass(frozen=True)
class Block:
    """Arrays of one buffer: where each starts in it, its size, and when it is needed."""

    starts: Mapping[Key, int]
    sizes: Mapping[Key, int]
    spans: Spans

    def lifetime(self, name: str) -> Lifetime:
        """The buffer."""
        first, *others = self.starts
        size, spans = self.sizes[first], self.spans[first]
        start = min(self.spans[key][0][0] for key in self.starts)
        end = max(self.spans[key][-1][1] for key in self.starts)
        if not others and len(spans) == 1:
            return Lifetime(name, size, start, end)
        return Lifetime(name, size, start, end, tuple(self._parts()))

    def _parts(self) -> Iterator[Part]:
        """The buffer, cut wherever an array begins or ends, and when each piece is needed."""
        edges = {start + d for key, start in self.starts.items() for d in (0, self.sizes[key])}
        cuts = sorted(edges)
        for begin, end in pairwise(cuts):
            needed = sorted(
                span
                for key, start in self.starts.items()
                if start <= begin and end <= start + self.sizes[key]
                for span in self.spans[key]
            )
            last: tuple[int, int] | None = None
            for span in needed:
                if last is not None and span[0] <= last[1] + 1:
                    last = (last[0], max(last[1], span[1]))
                    continue
                if last is not None:
                    yield Part(begin, end - begin, *last)
                last = span
            if last is not None:
                yield Part(begin, end - begin, *last)


def blocks(
    spans: Spans, sizes: Mapping[Key, int], inside: Mapping[Key, tuple[Key, int]]
) -> Iterator[Block]:
    """The buffers: each array that lies in no other, with those that lie in it."""
    starts: dict[Key, dict[Key, int]] = {key: {key: 0} for key in spans if key not in inside}
    for key in inside:
        outer, start = key, 0
        while outer in inside:
            outer, d = inside[outer]
            start += d
        starts[outer][key] = start
    for mine in starts.values():
        yield Block(mine, sizes, spans)
