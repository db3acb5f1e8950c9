"""Which arrays keep the channels of a place together, on a device whose kernels like that.

    channels first    (N, C, *S) in the order of its axes
    channels last     the same array seen as (N, C, *S), stored as (N, *S, C)

A value is stored channels last if every layer that touches it, or an array it shares, takes both
orders (`Layer.any_layout`); what a layer saves of the same shape follows it.  Shapes, results and
names stay the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..layers.base import Layer
from ..netspec.graph import Graph, Value
from .inference import Inferred
from .slices import Key
from .uses import Uses


def channels_last(
    graph: Graph, layers: Sequence[Layer], inferred: Inferred, uses: Uses
) -> frozenset[Value]:
    """The values that may be stored so, and gain by it.  Pure."""
    strict: set[Value] = set()
    for node, layer in zip(graph.nodes, layers, strict=True):
        if not layer.any_layout:
            strict.update(node.bottoms, node.tops)
    fit = {
        value
        for value, shape in inferred.values.items()
        if value in uses.root and value not in strict and len(shape) > 3 and shape[1] > 1
    }
    return frozenset(v for v in fit if all(other in fit for other in uses.group[uses.root[v]]))


def keys(graph: Graph, inferred: Inferred, last: Collection[Value]) -> frozenset[Key]:
    """The arrays that are stored so."""
    found: set[Key] = {(kind, value) for value in last for kind in ("data", "diff")}
    for node, need in zip(graph.nodes, inferred.needs, strict=True):
        shapes = {inferred.values[v] for v in (*node.bottoms, *node.tops) if v in last}
        for k, buffer in enumerate(need.saved):
            if buffer.shape in shapes:
                found.add(("saved", node.index, k))
    return frozenset(found)
