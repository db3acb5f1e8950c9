"""Which data to give up after the forward pass and to make again: training in less memory.

Greedy.  What is given up next is the array, with or without those that it is made from, that makes
the plan's fullest steps smaller by most bytes for the work of making it again; as long as the plan
gets smaller and all that work stays within a part of the forward pass's.  In the end, whatever
turned out not to matter is kept after all.

An array can be made again where all layers that write it may run twice (`Layer.repeats`): not those
with random numbers or statistics, nor data layers.  So gradients are the same bits.

Source: the idea is from T. Chen et al., Training deep nets with sublinear memory cost
(arXiv:1604.06174).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from ..layers.base import Layer
from ..netspec.graph import Graph, Value
from . import arena
from .fusion import Fused
from .inference import Inferred
from .lifetimes import Plan
from .uses import BEFORE, Uses

WORK = 0.75  # of the forward pass's, at most, is done again: a quarter of a training step
STEEPNESS = 24  # of the mean of the bytes alive that is made smaller: nearly the largest of them

Dropped = frozenset[Value]


def choose(
    graph: Graph,
    layers: Sequence[Layer],
    inferred: Inferred,
    fused: Fused,
    uses: Uses,
    plan: Callable[[Collection[Value]], Plan],
) -> Dropped:
    """Root values whose data to give up; plan: the plan with some given up.  Pure."""
    work = {
        node.index: layer.work(*(inferred.values[v] for v in node.bottoms))
        for node, layer in zip(graph.nodes, layers, strict=True)
        if node.bottoms
    }
    moves = candidates(graph, layers, fused, uses)
    limit = WORK * sum(work.values())

    def cost(found: Plan) -> int:
        return sum(work[i] for i in found.order.again)

    dropped: Dropped = frozenset()
    now = plan(dropped)
    while True:
        bytes_ = arena.alive(now.buffers)
        fullest = max(bytes_, key=lambda step: bytes_[step])
        best, gain = None, 0.0
        for move in moves:
            if move <= dropped or not any(_alive(now, root, fullest) for root in move):
                continue
            then = plan(dropped | move)
            after = arena.alive(then.buffers)
            if cost(then) > limit or max(after.values()) > bytes_[fullest]:
                continue
            freed = (mean(bytes_) - mean(after)) / max(cost(then) - cost(now), 1)
            if freed > gain:
                best, gain = move, freed
        if best is None:
            return _without_needless(dropped, cost, plan)
        dropped |= best
        now = plan(dropped)


def mean(alive: Mapping[int, int]) -> float:
    """A mean of the bytes alive at each step that is close to the largest."""
    most = max(alive.values())
    return float(most * sum((b / most) ** STEEPNESS for b in alive.values()) ** (1 / STEEPNESS))


def _alive(plan: Plan, root: Value, step: int) -> bool:
    """Whether the buffer of an array, or a part of it, is needed at a step."""
    parts = plan.buffers[plan.of["data", root]].needed
    return any(part.start <= step <= part.end for part in parts)


def candidates(
    graph: Graph, layers: Sequence[Layer], fused: Fused, uses: Uses
) -> list[frozenset[Value]]:
    """What may be given up: an array, or one with those it is made from."""
    able = [root for root in uses.group if _remakes(graph, layers, fused, uses, root)]
    found: dict[frozenset[Value], None] = {}
    for root in able:
        if any(uses.needed[v] for v in uses.group[root]):
            found[frozenset([root])] = None
            below = {uses.root[v] for i in uses.makers[root] for v in graph.nodes[i].bottoms}
            found[frozenset([root, *(below & set(able))])] = None
    return list(found)


def _remakes(graph: Graph, layers: Sequence[Layer], fused: Fused, uses: Uses, root: Value) -> bool:
    """Whether an array's makers may run again, write nothing else, and find what they read as it
    was."""
    group = uses.group[root]
    if any(uses.written[v] == BEFORE or v in uses.results for v in group):
        return False
    for i in uses.makers[root]:
        node = graph.nodes[i]
        if not layers[i].repeats or i in fused.crops or not set(node.tops) <= set(group):
            return False
        for bottom in node.bottoms:
            others = uses.group[uses.root[bottom]]
            if bottom not in group and any(uses.written[v] > i for v in others):
                return False
    return True


def _without_needless(
    dropped: Dropped, cost: Callable[[Plan], int], plan: Callable[[Collection[Value]], Plan]
) -> Dropped:
    """Keep what costs work and frees nothing at the fullest step; the dearest first."""
    least = arena.lower_bound(plan(dropped).buffers)
    saved: Mapping[Value, int] = {
        v: cost(plan(dropped)) - cost(plan(dropped - {v})) for v in dropped
    }
    for value in sorted(dropped, key=lambda v: (-saved[v], v.blob, v.version)):
        rest = dropped - {value}
        if arena.lower_bound(plan(rest).buffers) <= least:
            dropped = rest
    return dropped
