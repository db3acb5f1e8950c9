"""The part of a net that needs no parameters, run ahead of the training step.

    data layers -> CreateDeformation -> ApplyDeformation -> ValueAugmentation  |  -> the rest
                        in a thread, two passes ahead                         copied over

`prefix` finds that part: the layers all of whose bottoms come, in the end, from layers that read or
draw their data themselves.  It becomes a net of its own with the same layer objects, so it draws
the same random numbers as in its place: results are the same bits as without.  Its kernels leave
Python's lock, so one thread is enough; it fills two sets of arrays in turn, and the step only
copies what crosses over.  `Ahead.state` is that of the pass the step has consumed, not of what was
made since, so a snapshot resumes exactly.

Only shapes may go the other way (`Node.likes`), and those are known.  What crosses over must not
change its shape from pass to pass: a layer whose top may (Layer.reshapes, .shaped_by) stays in its
place, with all behind it.  No gradient flows into the part, not even with force_backward.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels.device import CPU, Slot
from ..layers.base import Layer
from ..netspec.graph import Graph, Node, Value
from .inference import Inferred
from .schedule import Schedule, loss_weights

if TYPE_CHECKING:
    from .net import Net

DEPTH = 2  # passes made ahead


def prefix(graph: Graph, layers: Sequence[Layer], inferred: Inferred) -> frozenset[int]:
    """The nodes that may run ahead.  Pure."""
    excluded: set[int] = set()
    while True:
        nodes = _independent(graph, layers, inferred, excluded)
        varying: set[Value] = set()
        for node in nodes:
            layer = layers[node.index]
            by = layer.shaped_by
            read = node.bottoms if by is None else tuple(node.bottoms[i] for i in by)
            if layer.reshapes or not varying.isdisjoint(read):
                varying.update(node.tops)
        found = frozenset(node.index for node in nodes)
        cross = varying.intersection(crossing(graph, found))
        if not cross:
            return found
        excluded.update(node.index for node in nodes if not cross.isdisjoint(node.tops))


def _independent(
    graph: Graph, layers: Sequence[Layer], inferred: Inferred, excluded: set[int]
) -> list[Node]:
    made: set[Value] = set()
    nodes = []
    for node, layer, need in zip(graph.nodes, layers, inferred.needs, strict=True):
        if (
            layer.runs_ahead
            and not need.params
            and node.index not in excluded
            and made.issuperset(node.bottoms)
            and not any(loss_weights(node, layer))
        ):
            made.update(node.tops)
            nodes.append(node)
    return nodes


def crossing(graph: Graph, nodes: frozenset[int]) -> tuple[Value, ...]:
    """What `nodes` make and others read, or the net gives out."""
    read = {v for node in graph.nodes if node.index not in nodes for v in node.bottoms}
    read.update(graph.outputs)
    return tuple(v for i in sorted(nodes) for v in graph.nodes[i].tops if v in read)


def without_gradient(flags: Schedule, graph: Graph, nodes: frozenset[int]) -> Schedule:
    """The schedule when no gradient flows into `nodes`."""
    made = {v for i in nodes for v in graph.nodes[i].tops}
    return replace(
        flags,
        backward=tuple(b and i not in nodes for i, b in enumerate(flags.backward)),
        propagate_down=tuple(
            tuple(flag and v not in made for v, flag in zip(node.bottoms, down, strict=True))
            for node, down in zip(graph.nodes, flags.propagate_down, strict=True)
        ),
    )


def subgraph(graph: Graph, nodes: frozenset[int]) -> Graph:
    """`nodes` alone, counted anew."""
    kept = [replace(graph.nodes[i], index=k) for k, i in enumerate(sorted(nodes))]
    return replace(
        graph,
        nodes=tuple(kept),
        inputs=(),
        outputs=crossing(graph, nodes),
        blobs=tuple(dict.fromkeys(v.blob for node in kept for v in node.tops)),
        force_backward=False,
    )


class Ahead:
    """Makes the passes of a part of `net`, and hands them over.

    passes: how many were handed over; late: how many of them were not ready; waited: the seconds
    spent on waiting for these.
    """

    def __init__(self, net: Net, part: Net, cross: Sequence[Value]) -> None:
        self._part = part
        self._from = [part.values[v] for v in cross]
        self._to = [net.values[v] for v in cross]
        self._slots = [net.device.slot([b.data for b in self._from]) for _ in range(DEPTH)]
        self._pool: ThreadPoolExecutor | None = None
        self._ready: deque[tuple[Future[Mapping[str, Any]], Slot]] = deque()
        self._state: Mapping[str, Any] = part.state()
        self.passes = self.late = 0
        self.waited = 0.0

    @property
    def bytes(self) -> int:
        """Memory beside the net's own."""
        slots = sum(array.nbytes for slot in self._slots for array in slot.arrays)
        return slots + self._part.planned.arena_bytes

    def take(self) -> None:
        """Hand over the next pass, and begin to make another."""
        if not self._ready:
            self._pool = self._pool or ThreadPoolExecutor(1, "demitasse-ahead")
            for slot in self._slots:
                self._begin(slot)
        future, slot = self._ready.popleft()
        began = time.perf_counter()
        self.late += not future.done()
        try:
            state = future.result()
        except BaseException:
            self.flush()
            raise
        self.waited += time.perf_counter() - began
        self.passes += 1
        slot.give([blob.data for blob in self._to])
        self._state = state
        self._begin(slot)

    def _begin(self, slot: Slot) -> None:
        assert self._pool is not None
        self._ready.append((self._pool.submit(self._make, slot), slot))

    def _make(self, slot: Slot) -> Mapping[str, Any]:
        """One pass into `slot`; returns the state behind it."""
        self._part.forward()
        slot.ready()
        for array, blob in zip(slot.arrays, self._from, strict=True):
            np.copyto(array, blob.data)
        slot.filled()
        return self._part.state()

    def flush(self) -> None:
        """Forget what was made ahead: the layers stand again where the last handed over pass left
        them."""
        wait([future for future, _ in self._ready])
        self._ready.clear()
        for slot in self._slots:
            slot.ready()  # its copies may still be on their way, and its memory be given to others
        self._part.load_state(self._state)

    def state(self) -> Mapping[str, Any]:
        """By layer, as the last handed over pass left it."""
        return self._state

    def load_state(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Go on from another state; layers it does not name stay as they are."""
        self.flush()
        self._part.load_state(state)
        self._state = self._part.state()


def begin(net: Net, make: type[Net]) -> Ahead:
    """Make a net of the layers of `net` that run ahead, with `make`."""
    nodes, shapes = net.planned.ahead, net.planned.inferred.values
    graph = subgraph(net.graph, nodes)
    for i in nodes:
        net.layers[i].context = replace(net.layers[i].context, device=CPU)
    part = make(
        graph,
        dtype=net.dtype,
        backward=False,
        threads=net.workers.threads if net.device.on_host else None,
        fill=False,
        poison=net._poison,
        fuse=False,  # these layers are the whole net's, too, and there they do their own work
        part=(
            [net.layers[i] for i in sorted(nodes)],
            {v: shapes[v] for i in nodes for v in net.graph.nodes[i].likes},
        ),
    )
    return Ahead(net, part, graph.outputs)
