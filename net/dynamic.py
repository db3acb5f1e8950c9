"""Layers whose tops have other shapes in every pass (`Layer.reshapes`).

Caffe lets every layer reshape before every forward pass; its blobs grow where they must and never
shrink.  Here a net is planned for the shapes that `Layer.shapes` gives, and in each pass a layer
that `reshapes` is asked for its shapes of this pass just before its forward:

    as in the last pass    nothing happens
    others                 everything behind the layer is inferred anew       reinfer
                           if it fits, arrays are other views of the same places    refit
                           else the net is planned for larger buffers; what earlier
                           layers wrote is moved there                        moved

A layer of such a net with nothing to do, because all its bottoms or all its tops are empty, does
not run: its tops and its gradients are 0, as sums of nothing are.  Nets without a layer that
`reshapes` pay nothing.

Source: Caffe's Layer::Forward (include/caffe/layer.hpp) and Blob::Reshape (src/caffe/blob.cpp).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ..errors import ShapeError
from ..layers.base import Blob, Layer, Shapes
from ..netspec.graph import Graph, Value
from . import arena, lifetimes, uses
from .inference import Inferred
from .lifetimes import Plan
from .memory import Memory
from .planning import Planned
from .slices import Key


def reinfer(
    graph: Graph, layers: Sequence[Layer], inferred: Inferred, i: int, need: Shapes
) -> Inferred:
    """Shapes throughout the graph when layer i needs something else.  Pure; raises ShapeError."""
    values, needs = dict(inferred.values), list(inferred.needs)
    changed: set[Value] = set()
    for node, layer in zip(graph.nodes[i:], layers[i:], strict=True):
        if node.index != i:
            read = (*node.bottoms, *node.likes)
            if changed.isdisjoint(read):
                continue
            need = layer.shapes(*(values[value] for value in read))
        if need.params != needs[node.index].params:
            raise ShapeError(
                f"{layer.label} would need parameters of another shape in this pass",
                where=node.where,
                expected=_listed(needs[node.index].params),
                found=_listed(need.params),
                remedy=f"Behind {layers[i].label} only sizes without parameters may change",
            )
        for top, shape in zip(node.tops, need.tops, strict=True):
            if values[top] != shape:
                values[top] = shape
                changed.add(top)
        needs[node.index] = need
    return Inferred(tuple(needs), values)


def _listed(shapes: Iterable[Sequence[int]]) -> str:
    return ", ".join(" x ".join(map(str, shape)) for shape in shapes)


def refit(old: Planned, inferred: Inferred, graph: Graph, layers: Sequence[Layer]) -> Planned:
    """The plan for other shapes: in the places there are if they are large enough, or else in new
    ones where no buffer is smaller than it was.  Pure."""
    runs = [old.backward and flag for flag in old.flags.backward]
    plan = lifetimes.plan(
        graph,
        layers,
        inferred,
        old.flags,
        uses=uses.find(graph, layers, inferred, runs, old.fused, old.ahead),
        dtype=old.dtype,
        keep=old.keep,
        fused=old.fused,
        last={key[1] for key in old.plan.last if key[0] == "data"},
    )
    if all(_size(plan, key) <= _room(old.plan, key) for key in plan.of):
        fitted = replace(old.plan, shapes={**old.plan.shapes, **plan.shapes})
        return replace(old, inferred=inferred, plan=fitted)
    sizes = [buffer.size for buffer in plan.buffers]
    for key, k in plan.of.items():
        sizes[k] = max(sizes[k], _room(old.plan, key))
    buffers = tuple(
        replace(buffer, size=size) for buffer, size in zip(plan.buffers, sizes, strict=True)
    )
    plan, placement = replace(plan, buffers=buffers), arena.place(buffers)
    return replace(old, inferred=inferred, plan=plan, placement=placement)


def _size(plan: Plan, key: Key) -> int:
    shape, dtype = plan.shapes[key]
    return math.prod(shape) * dtype.itemsize


def _room(plan: Plan, key: Key) -> int:
    """Bytes planned for an array; -1 for one that was not planned."""
    return plan.buffers[plan.of[key]].size if key in plan.of else -1


def moved(old: Memory, planned: Planned, step: int) -> Memory:
    """Memory for the new plan, with all that is alive at a step: written before it, read later."""
    if planned.placement is old.planned.placement:
        return Memory(planned, old.device, old.block)
    new = Memory(planned, old.device)
    for key, k in planned.plan.of.items():
        buffer = planned.plan.buffers[k]
        if buffer.start < step <= buffer.end and key in old.planned.plan.of:
            source, target = old.view(key), new.view(key)
            if source.shape == target.shape:  # another shape: not written yet in this pass
                np.copyto(target, source)
    return new


def no_forward(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob]) -> bool:
    """Whether a layer has nothing to do; then its tops are set to 0."""
    if not _idle(layer, bottom, top):
        return False
    for blob in top:
        blob.data.fill(0)
    return True


def no_backward(
    layer: Layer, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
) -> bool:
    """Whether a layer has nothing to do; then the gradients it would write are set to 0."""
    if not _idle(layer, bottom, top):
        return False
    for blob, down in zip(bottom, propagate_down, strict=True):
        if down:
            blob.diff.fill(0)
    return True


def _idle(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob]) -> bool:
    if layer.reshapes:  # it asked for that itself
        return False
    return any(blobs and all(blob.count == 0 for blob in blobs) for blobs in (bottom, top))
