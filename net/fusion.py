"""Rectifiers that the layer below applies on its way, so that no pass over the blob is needed.

A ReLU is absorbed where it works in place, nobody else reads what it changes, and the layer below
can apply it (a convolution).  The results are the same bits.  A net that
keeps its blobs keeps its rectifiers: there one may look at a blob between the two layers.  So does
a net whose shapes change in every pass: the engine may change with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..layers.base import Layer
from ..netspec.graph import Graph, Value
from .inference import Inferred, in_place


def rectifiers(graph: Graph, layers: Sequence[Layer], inferred: Inferred) -> dict[int, int]:
    """Which node applies which ReLU: {convolution's index: ReLU's index}."""
    if any(layer.reshapes for layer in layers):
        return {}
    readers: dict[Value, list[int]] = {value: [] for value in inferred.values}
    makers: dict[Value, int] = {}
    for node in graph.nodes:
        for top in node.tops:
            makers[top] = node.index
        for bottom in node.bottoms:
            readers[bottom].append(node.index)
    found = {}
    for node in graph.nodes:
        if node.type != "ReLU" or not in_place(node, 0):
            continue
        bottom, slope = node.bottoms[0], layers[node.index].slope  # type: ignore[attr-defined]
        if slope < 0 or bottom not in makers or readers[bottom] != [node.index]:
            continue
        below = graph.nodes[makers[bottom]]
        shapes = [inferred.values[value] for value in below.bottoms]
        if len(below.tops) == 1 and layers[below.index].absorbs_rectifier(slope, *shapes):
            found[below.index] = node.index
    return found


def apply(layers: Sequence[Layer], absorbed: Mapping[int, int]) -> None:
    """Tell the layers."""
    for i, layer in enumerate(layers):
        relu = absorbed.get(i)
        layer.rectifier = 1.0 if relu is None else layers[relu].slope  # type: ignore[attr-defined]
        layer.absorbed = i in absorbed.values()
