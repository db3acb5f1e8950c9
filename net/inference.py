"""Shapes of every value of a graph, before any array exists.

build_layers   graph -> one Layer per node (each reads its message once)
rebuilt        the same for a graph of which only messages changed
infer          layers + input shapes -> what each layer needs, and the shape of each value
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import GraphError, ShapeError
from ..layers import registry
from ..layers.base import Context, Layer, Shape, Shapes
from ..netspec.graph import Graph, Node, Value, as_written


@dataclass(frozen=True)
class Inferred:
    """Shapes by node (what the layer asked for) and by value."""

    needs: tuple[Shapes, ...]
    values: Mapping[Value, Shape]


def build_layers(
    graph: Graph, context: Context, own: Sequence[type[Layer]] = ()
) -> tuple[Layer, ...]:
    """One layer per node; `context` is completed with the node's place, phase and position; own:
    types beside those of the registry.  Raises SpecError."""
    registry.check_own(own)
    layers = []
    for node in graph.nodes:
        phase = "TRAIN" if node.layer.phase == 0 else "TEST"
        if not node.layer.HasField("phase"):
            phase = graph.phase
        layer = registry.create(
            node.layer, replace(context, phase=phase, index=node.index, where=node.where), own
        )
        refuse_illegal_in_place(node, layer)
        layers.append(layer)
    return tuple(layers)


def rebuilt(graph: Graph, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Layers of the same types, in the same contexts, for a graph whose messages differ."""
    return tuple(
        type(layer)(node.layer, layer.context)
        for node, layer in zip(graph.nodes, layers, strict=True)
    )


Above = tuple[int, Inferred] | None  # what layers above that one keep


def in_place(node: Node, i: int) -> bool:
    """Whether top i is written over bottom i (Caffe: the same name at the same index)."""
    return i < len(node.bottoms) and node.tops[i].blob == node.bottoms[i].blob


def changes_in_place(node: Node) -> bool:
    """Whether a layer works on a blob that another made, and so has its shape."""
    return any(in_place(node, i) for i in range(len(node.tops)))


def refuse_illegal_in_place(node: Node, layer: Layer) -> None:
    for i, top in enumerate(node.tops):
        if in_place(node, i) and not layer.in_place:
            raise GraphError(
                f"{layer.label} cannot work in place: its bottom and its top are both '{top.blob}'",
                where=node.where,
                remedy="Give the top a name of its own",
            )


def infer(
    graph: Graph,
    layers: Sequence[Layer],
    inputs: Mapping[str, Shape] | None = None,
    outside: Mapping[Value, Shape] | None = None,
    above: Above = None,
) -> Inferred:
    """Shapes throughout the graph.

    inputs: shapes that replace those of Input layers' blobs, by blob name; outside: of values that
    another part of the net makes (net/ahead.py); above: what stays as it is, but for layers that
    work in place.  Raises ShapeError.
    """
    inputs = dict(inputs or {})
    shapes: dict[Value, Shape] = dict(outside or {})
    needs = []
    for node, layer in zip(graph.nodes, layers, strict=True):
        if node.type == "Input" and any(top.blob in inputs for top in node.tops):
            given = [inputs.pop(top.blob, None) for top in node.tops]
            own = (None,) * len(given) if all(given) else layer.shapes().tops
            tops = (a or b for a, b in zip(given, own, strict=True))
            need = Shapes(tops=tuple(shape for shape in tops if shape is not None))
        elif above is not None and node.index > above[0] and not changes_in_place(node):
            need = above[1].needs[node.index]
        else:
            with as_written(graph):
                need = layer.shapes(*(shapes[value] for value in (*node.bottoms, *node.likes)))
        for top, shape in zip(node.tops, need.tops, strict=True):
            if any(size < 1 for size in shape):
                raise ShapeError(
                    f"{layer.label} would make an empty blob '{top.blob}'",
                    where=node.where,
                    found=" x ".join(map(str, shape)),
                    remedy="Its input is too small: take a larger tile or fewer layers",
                )
            shapes[top] = shape
        needs.append(need)
    if inputs:
        known = ", ".join(value.blob for value in graph.inputs) or "none"
        raise ShapeError(
            f"a shape was given for {', '.join(map(repr, inputs))}, which no Input layer makes",
            where=graph.path,
            remedy=f"Inputs of this net: {known}",
        )
    return Inferred(tuple(needs), shapes)
