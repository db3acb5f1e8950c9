"""When each array of a net is needed, and which buffer it lies in.

Steps are those of net/order.py.

    data of a value   from its producer's forward to its last reader, forward or backward; what is
                      given up, to its last reader forward, and again from when it is made again
    diff of a value   from its reader's backward to its producer's backward
    saved arrays      from a layer's forward to its backward
    scratch           one step
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from ..layers.base import Layer, Shape
from ..netspec.graph import Graph, Value
from . import layout, slices
from .arena import Lifetime
from .fusion import Fused
from .inference import Inferred, in_place
from .order import Order, order
from .schedule import Schedule
from .slices import Key, Spans
from .uses import BEFORE, Uses


@dataclass(frozen=True)
class Plan:
    """buffers: one lifetime each; of: which buffer holds an array; at: from which byte of it on;
    readable: from which step to which a value's data are there; last: those stored channels last;
    among: of those that are some channels of another array, from which channel on, and of how many;
    zero: diffs nobody writes; order: of the steps."""

    buffers: tuple[Lifetime, ...]
    of: dict[Key, int]
    at: dict[Key, int]
    readable: Mapping[Value, Sequence[tuple[int, int]]]
    shapes: dict[Key, tuple[Shape, np.dtype]]
    zero: frozenset[Value]
    one_each: int  # bytes, if every blob had an array of its own as in Caffe
    order: Order
    last: frozenset[Key] = frozenset()
    among: dict[Key, tuple[int, int]] = field(default_factory=dict)


def plan(
    graph: Graph,
    layers: Sequence[Layer],
    inferred: Inferred,
    flags: Schedule,
    *,
    uses: Uses,
    dtype: np.dtype,
    keep: bool,
    fused: Fused,
    dropped: Collection[Value] = (),
    last: Collection[Value] = (),
) -> Plan:
    """Lifetimes of all arrays.  keep: data, diffs and what is saved live through the iteration and
    beyond; dropped: root values whose data are given up after the forward pass and made again;
    last: values stored channels last (net/layout.py)."""
    steps = order(graph, layers, uses, dropped)
    draft = Draft(graph, layers, inferred, flags, fused, uses, steps, dtype, keep)
    draft.data()
    zero = draft.diffs()
    draft.saved()
    draft.scratch()
    kept = layout.keys(graph, inferred, last)
    inside: dict[Key, tuple[Key, int]] = {}
    among: dict[Key, tuple[int, int]] = {}
    sizes = draft.sizes()
    if fused.slices:
        inside = slices.find(
            graph, layers, inferred, uses, draft.spans, draft.alias, zero, dtype.itemsize
        )
        among = slices.interleave(inside, kept, draft.shapes, sizes)
    buffers: list[Lifetime] = []
    of: dict[Key, int] = {}
    at: dict[Key, int] = {}
    for block in slices.blocks(draft.spans, sizes, inside):
        for key, start in block.starts.items():
            of[key] = len(buffers)
            at[key] = start
        buffers.append(block.lifetime(label(graph, next(iter(block.starts)))))
    for key, target in draft.alias.items():
        while target in draft.alias:
            target = draft.alias[target]
        of[key], at[key] = of[target], at[target]
        if target in among:
            among[key] = among[target]
    caffe = one_each(graph, layers, inferred, uses.runs, dtype)
    readable = {v: draft.spans["data", root] for v, root in uses.root.items() if ("data", v) in of}
    return Plan(tuple(buffers), of, at, readable, draft.shapes, zero, caffe, steps, kept, among)


@dataclass
class Draft:
    """A plan in the making.  spans: of arrays that have a place; alias: of those that use another
    one's place."""

    graph: Graph
    layers: Sequence[Layer]
    inferred: Inferred
    flags: Schedule
    fused: Fused
    uses: Uses
    order: Order
    dtype: np.dtype
    keep: bool
    spans: Spans = field(default_factory=dict)
    shapes: dict[Key, tuple[Shape, np.dtype]] = field(default_factory=dict)
    alias: dict[Key, Key] = field(default_factory=dict)

    @property
    def always(self) -> list[tuple[int, int]]:
        return [(BEFORE, self.order.last)]

    def sizes(self) -> dict[Key, int]:
        """Bytes."""
        return {key: prod(shape) * kind.itemsize for key, (shape, kind) in self.shapes.items()}

    def data(self) -> None:
        """Fill in every value's data."""
        again: dict[Value, list[int]] = {}  # steps at which an array is read to make another again
        for i, step in self.order.again.items():
            for bottom in self.graph.nodes[i].bottoms:
                again.setdefault(self.uses.root[bottom], []).append(step)
        for value, shape in self.inferred.values.items():
            if value not in self.uses.root or value in self.uses.elsewhere:
                continue
            self.shapes["data", value] = (shape, self.dtype)
            root = self.uses.root[value]
            if root != value:
                self.alias["data", value] = ("data", root)
            elif self.keep:
                self.spans["data", value] = self.always
            else:
                self.spans["data", value] = self._data(value, again.get(value, []))

    def _data(self, root: Value, again: Sequence[int]) -> list[tuple[int, int]]:
        """When an array of data is needed; again: steps at which others are made from it."""
        group = self.uses.group[root]
        early = [self.uses.written[v] for v in group]
        early += [step for v in group for step in self.uses.read[v]]
        late = [self.order.backward[i] for v in group for i in self.uses.needed[v]] + [*again]
        if any(v in self.uses.results for v in group):
            late.append(self.order.last)
        made = [self.order.again[i] for i in self.uses.makers[root] if i in self.order.again]
        if made:
            return [(min(early), max(early)), (min(made), max(late + made))]
        return [(min(early), max(early + late))]

    def saved(self) -> None:
        """Fill in what layers save; a layer that runs again saves the same again."""
        for node, need in zip(self.graph.nodes, self.inferred.needs, strict=True):
            i = node.index
            if i in self.uses.ahead:
                continue
            ends = [i, self.order.again.get(i, i)]
            if self.uses.runs[i]:
                ends.append(self.order.backward[i])
            for k, buffer in enumerate(need.saved):
                kind = np.dtype(buffer.dtype) if buffer.dtype else self.dtype
                self.shapes["saved", i, k] = (buffer.shape, kind)
                # kept, a part of the net may run again, backward too
                self.spans["saved", i, k] = self.always if self.keep else [(i, max(ends))]

    def scratch(self) -> None:
        """Fill in what layers use while they run."""
        for node, need in zip(self.graph.nodes, self.inferred.needs, strict=True):
            i, steps = node.index, {"forward": node.index}
            if i in self.order.again:
                steps["again"] = self.order.again[i]
            if self.uses.runs[i]:
                steps["backward"] = self.order.backward[i]
            for which, step in steps.items() if need.scratch and i not in self.uses.ahead else ():
                self.shapes["scratch", i, which] = ((need.scratch,), self.dtype)
                self.spans["scratch", i, which] = [(step, step)]

    def diffs(self) -> frozenset[Value]:
        """Fill in every diff; return those that must hold zeros throughout."""
        graph, runs, back = self.graph, self.uses.runs, self.order.backward
        outputs = set(graph.outputs)
        arrives: dict[Value, int] = {}  # the step that writes a value's diff
        for node in graph.nodes:
            for value, flag in zip(
                node.bottoms, self.flags.propagate_down[node.index], strict=True
            ):
                if runs[node.index] and flag and node.index not in self.fused.crops:
                    arrives[value] = back[node.index]
        zero: set[Value] = set()
        for node, layer in zip(reversed(graph.nodes), reversed(self.layers), strict=True):
            i = node.index
            if not runs[i]:
                continue
            step = back[i]
            for k, top in enumerate(node.tops):
                if top in arrives:
                    # of a Crop that a Split does: until that Split runs
                    self._diff(top, arrives[top], back[self.fused.crops.get(i, i)])
                elif self.flags.loss_weights[i][k]:
                    self._diff(top, len(graph.nodes), step)
                elif not layer.shares_data or top in outputs:
                    zero.add(top)
                    self._diff(top, BEFORE, self.order.last)
            given = [top for top in node.tops if ("diff", top) in self.shapes]
            for k, bottom in enumerate(node.bottoms):
                if bottom not in arrives:
                    continue
                if k < len(node.tops) and in_place(node, k):
                    self.alias["diff", bottom] = ("diff", node.tops[k])
                elif layer.shares_data and given and given[0] in arrives and not self.keep:
                    # summed up in the first top's diff; a top before it would be overwritten
                    self.alias["diff", bottom] = ("diff", given[0])
                self._diff(bottom, step, step)
        maker = {top: node for node in graph.nodes for top in node.tops}
        for value, step in arrives.items():  # a gradient that no layer takes further is a result
            if not runs[maker[value].index] or not maker[value].bottoms:
                self._diff(value, step, self.order.last)
        if self.keep:
            self.spans.update({key: self.always for key in self.spans if key[0] == "diff"})
        return frozenset(zero)

    def _diff(self, value: Value, start: int, end: int) -> None:
        """A value's diff is needed at these steps, too."""
        key: Key = ("diff", value)
        self.shapes[key] = (self.inferred.values[value], self.dtype)
        while key in self.alias:
            key = self.alias[key]
        known = self.spans.get(key, [(start, end)])[0]
        self.spans[key] = [(min(start, known[0]), max(end, known[1]))]


def one_each(
    graph: Graph,
    layers: Sequence[Layer],
    inferred: Inferred,
    runs: Sequence[bool],
    dtype: np.dtype,
) -> int:
    """Bytes if every blob had data (and diff, in training) of its own, as Caffe allocates them."""
    count = 0
    for node, layer in zip(graph.nodes, layers, strict=True):
        for k, top in enumerate(node.tops):
            if not layer.shares_data and not in_place(node, k):
                count += prod(inferred.values[top])
    return count * dtype.itemsize * (2 if any(runs) else 1)


def label(graph: Graph, key: Key) -> str:
    """How the memory table names a buffer."""
    if key[0] in ("data", "diff"):
        return f"{key[1].blob} {key[0]}"
    return f"{graph.nodes[key[1]].name} {key[0]}"
