"""From graph to memory plan, without touching memory: what `Net` allocates and `tools/plan.py`
prints."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..kernels.device import CPU, Device
from ..layers.base import Layer, Shape
from ..netspec.graph import Graph, Value
from . import arena, fusion, layout, lifetimes, uses
from .ahead import prefix, without_gradient
from .fusion import Fused
from .inference import Above, Inferred
from .lifetimes import Plan
from .recompute import choose
from .schedule import Schedule, schedule
from .suggest import infer_or_suggest


@dataclass(frozen=True)
class Planned:
    """Shapes, backward flags, lifetimes and places of everything a net computes; fused: who
    does whose work; ahead: nodes that run elsewhere; and what it was planned for."""

    inferred: Inferred
    flags: Schedule
    plan: Plan
    placement: arena.Placement
    fused: Fused
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
    fuse: bool = True,
    recompute: bool = False,
    ahead: bool = False,
    outside: Mapping[Value, Shape] | None = None,
    above: Above = None,
    device: Device = CPU,
) -> Planned:
    """Plan everything.  fuse: let layers do each other's work (net/fusion.py); recompute: give up
    data and make them again, in training (net/recompute.py).  Neither where blobs are kept or
    shapes change in every pass.  ahead: leave out what can run ahead; outside, above: as for
    `infer`.
    Raises ShapeError and GraphError.  Pure, apart from data layers, which look at their files to
    learn the shapes in them."""
    inferred = infer_or_suggest(graph, layers, inputs, outside, above)
    flags = schedule(graph, layers, inferred.needs)
    elsewhere = prefix(graph, layers, inferred) if ahead else frozenset()
    if elsewhere:
        flags = without_gradient(flags, graph, elsewhere)
    fused = fusion.find(graph, layers, inferred, elsewhere) if fuse and not keep else Fused()
    runs = [backward and flag for flag in flags.backward]
    used = uses.find(graph, layers, inferred, runs, fused, elsewhere)

    last = layout.channels_last(graph, layers, inferred, used) if device.channels_last else ()

    def plan(dropped: Collection[Value]) -> Plan:
        return lifetimes.plan(
            graph,
            layers,
            inferred,
            flags,
            uses=used,
            dtype=dtype,
            keep=keep,
            fused=fused,
            dropped=dropped,
            last=last,
        )

    dropped: Collection[Value] = ()
    if recompute and backward and not keep and not any(layer.reshapes for layer in layers):
        dropped = choose(graph, layers, inferred, fused, used, plan)
    planned = plan(dropped)
    placement = arena.place(planned.buffers)
    return Planned(inferred, flags, planned, placement, fused, dtype, backward, keep, elsewhere)
