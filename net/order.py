"""The steps of a training iteration, in order.

    -1             before the first layer: inputs are set
    0 ... n - 1    layer i runs forward at step i
    then           the layers run backward, the last one first; just before one that reads data
                   that were given up after the forward pass, the layers that made them run again
    last           after the last

Without anything given up, layer i runs backward at step 2n-1-i, and the last step is 2n.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..layers.base import Layer
from ..netspec.graph import Graph, Value
from .uses import Uses


@dataclass(frozen=True)
class Order:
    """backward: the step at which each node runs backward; before: which nodes run forward again
    before a node runs backward; again: at which steps; last: the step after the last."""

    backward: Sequence[int]
    before: Mapping[int, Sequence[int]]
    again: Mapping[int, int]
    last: int


def order(
    graph: Graph, layers: Sequence[Layer], uses: Uses, dropped: Collection[Value] = ()
) -> Order:
    """The order in which arrays of these root values are given up and made again.  Pure."""
    n = step = len(graph.nodes)
    wanted: dict[int, list[Value]] = {}
    for value, readers in uses.needed.items():
        for i in readers:
            if uses.root[value] in dropped:
                wanted.setdefault(i, []).append(uses.root[value])
    backward, before, again = [0] * n, dict[int, Sequence[int]](), dict[int, int]()
    there: set[Value] = set()
    for i in reversed(range(n)):
        nodes: list[int] = []
        for root in wanted.get(i, ()):
            nodes += _make(graph, layers, uses, root, dropped, there)
        if nodes:
            before[i] = tuple(nodes)
        for k in nodes:
            again[k] = step
            step += 1
        backward[i] = step
        step += 1
    return Order(tuple(backward), before, again, step)


def _make(
    graph: Graph,
    layers: Sequence[Layer],
    uses: Uses,
    root: Value,
    dropped: Collection[Value],
    there: set[Value],
) -> list[int]:
    """The nodes that make an array again, after those that make what they read."""
    if root in there:
        return []
    there.add(root)
    nodes: list[int] = []
    for i in uses.makers[root]:
        for k, bottom in enumerate(graph.nodes[i].bottoms):
            if uses.root[bottom] in dropped and k not in layers[i].sizes_only:
                nodes += _make(graph, layers, uses, uses.root[bottom], dropped, there)
        nodes.append(i)
    return nodes
