"""When each array of a net is first written and last read; who may share one buffer.

Steps are counted along one training iteration of n layers: -1 is "before the first layer" (inputs
are set), layer i runs forward at step i and backward at step 2n-1-i, and 2n is "after the last".

    data of a value   from its producer's forward to its last reader, forward or backward
    diff of a value   from its reader's backward to its producer's backward
    saved arrays      from a layer's forward to its backward
    scratch           one step

In-place is a permission: the two versions share a buffer unless the older one is still read later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..layers.base import Layer, Shape
from ..netspec.graph import Graph, Value
from .ahead import crossing
from .arena import Lifetime
from .inference import Inferred, in_place
from .schedule import Schedule

# what a buffer is for: ("data", value), ("diff", value), ("saved", node, k) or
# ("scratch", node, "forward" or "backward")
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Plan:
    """buffers: one lifetime each; of: which buffer holds an array; zero: diffs nobody writes."""

    buffers: tuple[Lifetime, ...]
    of: dict[Key, int]
    shapes: dict[Key, tuple[Shape, np.dtype]]
    zero: frozenset[Value]
    one_each: int  # bytes, if every blob had an array of its own as in Caffe


def plan(
    graph: Graph,
    layers: Sequence[Layer],
    inferred: Inferred,
    flags: Schedule,
    *,
    dtype: np.dtype,
    backward: bool,
    keep: bool,
    absorbed: Mapping[int, int],
    ahead: frozenset[int] = frozenset(),
) -> Plan:
    """Lifetimes of all arrays; keep: data, diffs and what is saved live through the iteration and
    beyond; absorbed: which node applies which rectifier, and reads its top in backward; ahead:
    nodes that run elsewhere: of these only what others read is here, from the start."""
    n = len(graph.nodes)
    first, last = -1, 2 * n
    runs = [backward and flag for flag in flags.backward]

    inputs = {value.blob for value in graph.inputs}  # all versions: the caller sets the last one
    written: dict[Value, int] = {}
    reads: dict[Value, list[int]] = {v: [] for v in inferred.values}
    given = set(crossing(graph, ahead))
    for node, layer in zip(graph.nodes, layers, strict=True):
        i = node.index
        for top in node.tops:
            written[top] = first if top.blob in inputs or top in given else i
        if i in ahead:
            continue
        for bottom in node.bottoms:
            reads[bottom].append(i)
        if runs[i]:
            found = named(layer.backward_reads, node.bottoms, node.tops)
            if i in absorbed:
                found += graph.nodes[absorbed[i]].tops
            for value in found if i not in absorbed.values() else ():
                reads[value].append(2 * n - 1 - i)
    for value in (*graph.outputs, *(t for node in graph.nodes for t in node.tops)):
        if value in graph.outputs or not reads[value]:
            reads[value].append(last)

    # which values share one array of data
    root: dict[Value, Value] = {}
    group: dict[Value, list[Value]] = {}
    for node, layer in zip(graph.nodes, layers, strict=True):
        for k, top in enumerate(node.tops):
            root[top], group[top] = top, [top]
            if node.index in ahead or not (layer.shares_data or in_place(node, k)):
                continue
            leader = root[node.bottoms[0 if layer.shares_data else k]]
            overwritten = in_place(node, k) and any(
                step > node.index for value in group[leader] for step in reads[value]
            )
            if not overwritten:
                root[top] = leader
                group[leader].append(top)

    spans: dict[Key, tuple[int, int]] = {}
    shapes: dict[Key, tuple[Shape, np.dtype]] = {}
    alias: dict[Key, Key] = {}
    key: Key
    elsewhere = {v for i in ahead for v in graph.nodes[i].tops} - given
    for value, shape in inferred.values.items():
        if value not in root or value in elsewhere:
            continue
        leader = root[value]
        key = ("data", value)
        shapes[key] = (shape, dtype)
        if leader == value:
            members = group[value]
            spans[key] = (
                min(written[v] for v in members),
                max([written[v] for v in members] + [s for v in members for s in reads[v]]),
            )
            if keep:
                spans[key] = (first, last)
        else:
            alias[key] = ("data", leader)

    zero = diffs(graph, layers, flags, runs, inferred, dtype, keep, spans, shapes, alias)
    if keep:
        spans.update({key: (first, last) for key in spans if key[0] == "diff"})

    for node, need in zip(graph.nodes, inferred.needs, strict=True):
        i = node.index
        if i in ahead:
            continue
        for k, buffer in enumerate(need.saved):
            key = ("saved", i, k)
            shapes[key] = (buffer.shape, np.dtype(buffer.dtype) if buffer.dtype else dtype)
            # kept, a part of the net may run again, backward too
            spans[key] = (first, last) if keep else (i, 2 * n - 1 - i if runs[i] else i)
        for which, step in (("forward", i), ("backward", 2 * n - 1 - i)):
            if need.scratch and (which == "forward" or runs[i]):
                shapes["scratch", i, which] = ((need.scratch,), dtype)
                spans["scratch", i, which] = (step, step)

    buffers: list[Lifetime] = []
    of: dict[Key, int] = {}
    for key, (start, end) in spans.items():
        shape, kind = shapes[key]
        of[key] = len(buffers)
        size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        buffers.append(Lifetime(label(graph, key), size, start, end))
    for key, target in alias.items():
        while target in alias:
            target = alias[target]
        of[key] = of[target]
    return Plan(tuple(buffers), of, shapes, zero, one_each(graph, layers, inferred, runs, dtype))


def diffs(
    graph: Graph,
    layers: Sequence[Layer],
    flags: Schedule,
    runs: Sequence[bool],
    inferred: Inferred,
    dtype: np.dtype,
    keep: bool,
    spans: dict[Key, tuple[int, int]],
    shapes: dict[Key, tuple[Shape, np.dtype]],
    alias: dict[Key, Key],
) -> frozenset[Value]:
    """Fill spans, shapes and alias for every diff; return those that must hold zeros throughout."""
    n = len(graph.nodes)
    outputs = set(graph.outputs)
    arrives: dict[Value, int] = {}  # the step that writes a value's diff
    for node in graph.nodes:
        for value, flag in zip(node.bottoms, flags.propagate_down[node.index], strict=True):
            if runs[node.index] and flag:
                arrives[value] = 2 * n - 1 - node.index
    zero: set[Value] = set()

    def span(value: Value, start: int, end: int) -> None:
        key: Key = ("diff", value)
        shapes[key] = (inferred.values[value], dtype)
        while key in alias:
            key = alias[key]
        old = spans.get(key, (start, end))
        spans[key] = (min(start, old[0]), max(end, old[1]))

    for node, layer in zip(reversed(graph.nodes), reversed(layers), strict=True):
        i = node.index
        if not runs[i]:
            continue
        step = 2 * n - 1 - i
        for k, top in enumerate(node.tops):
            if top in arrives:
                span(top, arrives[top], step)
            elif flags.loss_weights[i][k]:
                span(top, n, step)
            elif not layer.shares_data or top in outputs:
                zero.add(top)
                span(top, -1, 2 * n)
        given = [top for top in node.tops if ("diff", top) in shapes]
        for k, bottom in enumerate(node.bottoms):
            if bottom not in arrives:
                continue
            if k < len(node.tops) and in_place(node, k):
                alias["diff", bottom] = ("diff", node.tops[k])
            elif layer.shares_data and given and given[0] in arrives and not keep:
                # summed up in the first top's diff; a top before it would be overwritten
                alias["diff", bottom] = ("diff", given[0])
            span(bottom, step, step)
    maker = {top: node for node in graph.nodes for top in node.tops}
    for value, step in arrives.items():  # a gradient that no layer takes further is a result
        if not runs[maker[value].index] or not maker[value].bottoms:
            span(value, step, 2 * n)
    return frozenset(zero)


def named(reads: Iterable[str], bottoms: Sequence[Value], tops: Sequence[Value]) -> list[Value]:
    """The values a layer's `backward_reads` names: "bottom0", "top*", ..."""
    found: list[Value] = []
    for word in reads:
        side = bottoms if word.startswith("bottom") else tops
        which = word.removeprefix("bottom").removeprefix("top")
        found += side if which == "*" else side[int(which) : int(which) + 1]
    return found


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
                count += int(np.prod(inferred.values[top], dtype=np.int64))
    return count * dtype.itemsize * (2 if any(runs) else 1)


def label(graph: Graph, key: Key) -> str:
    """How the memory table names a buffer."""
    if key[0] in ("data", "diff"):
        return f"{key[1].blob} {key[0]}"
    return f"{graph.nodes[key[1]].name} {key[0]}"
