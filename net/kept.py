"""What a net that keeps every blob readable owes to whoever reads and writes blobs between passes.

In Caffe a blob is one array, whatever works on it in place.  Here an in-place layer may get an
array of its own, because a backward pass still reads what was there before; so that nobody can
tell, the *last* version of a blob is the one that is seen:

    after a layer          what it made is copied to where it is seen
    before a part of a net what is seen is copied to where the part reads it

A loss's gradient is its weight, written once: a caller may put another one in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..kernels.device import Device
from ..layers.base import Blob, Layer
from ..netspec.graph import Graph, Value
from .mirrors import Mirror


class Kept:
    """values: every version of every blob, bound to its arrays; loss_weights: by node and top."""

    def __init__(
        self,
        graph: Graph,
        values: Mapping[Value, Blob],
        loss_weights: Sequence[Sequence[float]],
    ) -> None:
        made = [(node.index, top) for node in graph.nodes for top in node.tops]
        last = {top.blob: top for _, top in made}
        reads = {bottom for node in graph.nodes for bottom in node.bottoms}
        # (maker, layer that makes the next version, as made, as seen)
        self._apart: list[tuple[int, int, Blob, Blob]] = []
        for at, value in made:
            seen, mine = values[last[value.blob]], values[value]
            if mine.data is not seen.data:
                after = next(i for i, v in made if v == Value(value.blob, value.version + 1))
                self._apart.append((at, after, mine, seen))
        self._sources = [
            values[last[top.blob]] for node in graph.nodes if not node.bottoms for top in node.tops
        ]
        self._preset: set[tuple[int, int]] = set()
        for node, weights in zip(graph.nodes, loss_weights, strict=True):
            for k, (top, weight) in enumerate(zip(node.tops, weights, strict=True)):
                if weight and top not in reads and values[top].diff is not None:
                    values[top].diff.fill(weight)
                    self._preset.add((node.index, k))

    def before(self, start: int) -> None:
        """Layers from `start` on are to run: they read what is seen."""
        for maker, after, mine, seen in self._apart:
            if maker < start <= after:
                np.copyto(mine.data, seen.data)

    def after(self, i: int) -> None:
        """Layer i has run forward: what it made is seen."""
        for maker, _, mine, seen in self._apart:
            if maker == i:
                np.copyto(seen.data, mine.data)

    def held(self) -> list[tuple[Blob, np.ndarray]]:
        """What layers without bottoms show, which a caller may have written: copies."""
        return [(blob, blob.data.copy()) for blob in self._sources]

    def preset(self, i: int, top: int) -> bool:
        """Whether the gradient of a loss stands already in its diff."""
        return (i, top) in self._preset


@dataclass
class Callbacks:
    """Called with a layer's index before and after its pass (Caffe's Net::Callback)."""

    before_forward: list[Callable[[int], object]] = field(default_factory=list)
    after_forward: list[Callable[[int], object]] = field(default_factory=list)
    before_backward: list[Callable[[int], object]] = field(default_factory=list)
    after_backward: list[Callable[[int], object]] = field(default_factory=list)
    records: bool = True  # whether a pass with them may be recorded (net/captured.py)


def prepare(
    graph: Graph,
    layers: Sequence[Layer],
    values: Mapping[Value, Blob],
    mirrors: Mapping[int, Mirror],
    device: Device,
) -> None:
    """Let layers write, once, the tops that they then leave to the caller."""
    for node, layer in zip(graph.nodes, layers, strict=True):
        if node.index in mirrors:
            mirrors[node.index].prepare(device)
        else:
            layer.prepare([values[top] for top in node.tops])
