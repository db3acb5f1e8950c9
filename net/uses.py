"""Who writes each value of a graph, who reads it, and which values may share one array.

In-place is a permission: the two versions share an array unless the older one is still read later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..layers.base import Layer
from ..netspec.graph import Graph, Value
from .ahead import crossing
from .fusion import Fused
from .inference import Inferred, in_place

BEFORE = -1  # the step before the first layer: inputs are set


@dataclass(frozen=True)
class Uses:
    """Of values' data.  written, read: steps of the forward pass; needed: nodes whose backward pass
    reads it; results: values read after the last step, and inputs, which are the caller's; runs:
    which nodes run backward; root, group: the first value in each array, and all that share it, as
    they are written; makers: the nodes that write it; ahead: nodes that run elsewhere
    (net/ahead.py), elsewhere: values that only they know.  What others read of theirs is there from
    the start."""

    written: Mapping[Value, int]
    read: Mapping[Value, Sequence[int]]
    needed: Mapping[Value, Sequence[int]]
    results: frozenset[Value]
    runs: Sequence[bool]
    root: Mapping[Value, Value]
    group: Mapping[Value, Sequence[Value]]
    makers: Mapping[Value, Sequence[int]]
    ahead: frozenset[int] = frozenset()
    elsewhere: frozenset[Value] = frozenset()

    def later(self, value: Value, step: int) -> bool:
        """Whether it is read after a step of the forward pass."""
        return (
            value in self.results
            or bool(self.needed[value])
            or any(read > step for read in self.read[value])
        )


def find(
    graph: Graph,
    layers: Sequence[Layer],
    inferred: Inferred,
    runs: Sequence[bool],
    fused: Fused,
    ahead: frozenset[int] = frozenset(),
) -> Uses:
    """Uses under a fusion (net/fusion.py): an absorbed Crop is done by the Split below it, a
    rectifier is read by whoever applies it."""
    # all versions: of a net that keeps its blobs the caller sets the last one
    inputs = {value.blob for value in graph.inputs}
    written: dict[Value, int] = {}
    read: dict[Value, list[int]] = {v: [] for v in inferred.values}
    needed: dict[Value, list[int]] = {v: [] for v in inferred.values}
    for node, layer in zip(graph.nodes, layers, strict=True):
        i = node.index
        done = fused.crops.get(i, i)  # the step that does its work
        for top in node.tops:
            written[top] = BEFORE if top.blob in inputs or i in ahead else done
        if i in ahead:
            continue
        for k, bottom in enumerate(node.bottoms):
            read[bottom].append(i if k else done)
        if not runs[i] or i in fused.rectifiers.values():
            continue
        found = named(layer.backward_reads, node.bottoms, node.tops)
        if i in fused.rectifiers and i not in fused.picked:
            found += graph.nodes[fused.rectifiers[i]].tops
        if i in fused.pickers and layer.picks:
            found.append(node.tops[0])
        for value in found:
            needed[value].append(i)
    results = frozenset(
        value
        for value in (*graph.outputs, *(t for node in graph.nodes for t in node.tops))
        if value in graph.outputs or not (read[value] or needed[value])
    ).union(graph.inputs)
    elsewhere = frozenset(v for i in ahead for v in graph.nodes[i].tops)
    elsewhere -= set(crossing(graph, ahead))
    uses = Uses(written, read, needed, results, runs, {}, {}, {}, ahead)
    root, group = _shared(graph, layers, uses)
    makers: dict[Value, list[int]] = {value: [] for value in group}
    for node, layer in zip(graph.nodes, layers, strict=True):
        for value in {root[top]: None for top in node.tops} if not layer.shares_data else ():
            makers[value].append(node.index)
    return Uses(written, read, needed, results, runs, root, group, makers, ahead, elsewhere)


def _shared(
    graph: Graph, layers: Sequence[Layer], uses: Uses
) -> tuple[dict[Value, Value], dict[Value, list[Value]]]:
    """Which values share one array of data."""
    root: dict[Value, Value] = {}
    group: dict[Value, list[Value]] = {}
    for node, layer in zip(graph.nodes, layers, strict=True):
        for k, top in enumerate(node.tops):
            root[top], group[top] = top, [top]
            if node.index in uses.ahead or not (layer.shares_data or in_place(node, k)):
                continue
            leader = root[node.bottoms[0 if layer.shares_data else k]]
            overwritten = in_place(node, k) and any(
                uses.later(value, node.index) for value in group[leader]
            )
            if not overwritten:
                root[top] = leader
                del group[top]
                group[leader].append(top)
    return root, group


def named(reads: Iterable[str], bottoms: Sequence[Value], tops: Sequence[Value]) -> list[Value]:
    """The values a layer's `backward_reads` names: "bottom0", "top*", ..."""
    found: list[Value] = []
    for word in reads:
        side = bottoms if word.startswith("bottom") else tops
        which = word.removeprefix("bottom").removeprefix("top")
        found += side if which == "*" else side[int(which) : int(which) + 1]
    return found
