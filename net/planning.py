"""From graph to memory plan, without touching memory: what `Net` allocates and `tools/plan.py`
prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..layers.base import Layer, Shape
from ..netspec.graph import Graph, Value
from . import arena, fusion, lifetimes, sizes
from .ahead import prefix, without_gradient
from .inference import Inferred
from .lifetimes import Plan
from .schedule import Schedule, schedule


@dataclass(frozen=True)
class Planned:
    """Shapes, backward flags, lifetimes and places of everything a net computes; absorbed: which
    node applies which rectifier; ahead: nodes that run elsewhere; and what it was planned for."""

    inferred: Inferred
    flags: Schedule
    plan: Plan
    placement: arena.Placement
    absorbed: Mapping[int, int]
    dtype: np.dtype
    backward: bool
    keep: bool
    ahead: frozenset[int] = frozenset()

    @property
    def arena_bytes(self) -> int:
        """Bytes of the one block that holds activations, gradients, saved arrays and scratch."""
        return self.placement.size

    @property
    def one_each_bytes(self) -> int:
        """Bytes if every blob had arrays of its own, as Caffe allocates them (without scratch)."""
        return self.plan.one_each

    @property
    def lower_bound(self) -> int:
        """Bytes alive at the fullest step: no placement needs less."""
        return arena.lower_bound(self.plan.buffers)


def plan_net(
    graph: Graph,
    layers: Sequence[Layer],
    inputs: Mapping[str, Shape] | None,
    *,
    dtype: np.dtype,
    backward: bool,
    keep: bool = False,
    ahead: bool = False,
    outside: Mapping[Value, Shape] | None = None,
) -> Planned:
    """Plan everything; ahead: leave out what can run ahead; outside: as for `infer`.

    Raises ShapeError and GraphError.  Pure, apart from data layers, which look at their files to
    learn the shapes in them.
    """
    inferred = sizes.infer_or_suggest(graph, layers, inputs, outside)
    flags = schedule(graph, layers, inferred.needs)
    elsewhere = prefix(graph, layers, inferred) if ahead else frozenset()
    if elsewhere:
        flags = without_gradient(flags, graph, elsewhere)
    absorbed = {} if keep else fusion.rectifiers(graph, layers, inferred)
    plan = lifetimes.plan(
        graph,
        layers,
        inferred,
        flags,
        dtype=dtype,
        backward=backward,
        keep=keep,
        absorbed=absorbed,
        ahead=elsewhere,
    )
    placement = arena.place(plan.buffers)
    return Planned(inferred, flags, plan, placement, absorbed, dtype, backward, keep, elsewhere)
