"""Which layers run backward, and which bottoms get a gradient.

A layer runs backward if a parameter below or in it learns, and a loss above it asks.  Everything
else is pruned.  Pure: graph, layers and parameters' learning rates in, flags out.

Source: Caffe's Net::Init and Net::AppendBottom (src/caffe/net.cpp).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import GraphError
from ..layers.base import Layer, Shapes
from ..netspec.graph import Graph, Node, Value


@dataclass(frozen=True)
class Schedule:
    """Per node: loss weight of each top, whether backward runs, which bottoms and which parameters
    get a gradient."""

    loss_weights: tuple[tuple[float, ...], ...]
    backward: tuple[bool, ...]
    propagate_down: tuple[tuple[bool, ...], ...]
    param_propagate_down: tuple[tuple[bool, ...], ...]


def loss_weights(node: Node, layer: Layer) -> tuple[float, ...]:
    """The weight of each top in the net's loss; a loss layer's first top counts 1 by default."""
    given = tuple(float(w) for w in node.layer.loss_weight)
    if given and len(given) != len(node.tops):
        raise GraphError(
            f"{layer.label} needs a loss_weight for each top, or none",
            where=node.where,
            expected=f"{len(node.tops)} (tops: {', '.join(t.blob for t in node.tops)})",
            found=str(len(given)),
        )
    if given:
        return given
    return tuple(1.0 if layer.is_loss and i == 0 else 0.0 for i in range(len(node.tops)))


def lr_mult(node: Node, layer: Layer, i: int) -> float:
    """The learning-rate multiplier of parameter i (default 1; 0 for statistics)."""
    if not layer.learns:
        return 0.0
    return float(node.layer.param[i].lr_mult) if i < len(node.layer.param) else 1.0


def schedule(graph: Graph, layers: Sequence[Layer], needs: Sequence[Shapes]) -> Schedule:
    """Backward flags for the whole net."""
    weights = tuple(loss_weights(n, la) for n, la in zip(graph.nodes, layers, strict=True))
    wants: dict[Value, bool] = {}  # something below this value learns
    backward: list[bool] = []
    down: list[list[bool]] = []
    params: list[tuple[bool, ...]] = []
    for node, layer, need in zip(graph.nodes, layers, needs, strict=True):
        explicit = list(node.layer.propagate_down)
        if explicit and len(explicit) != len(node.bottoms):
            raise GraphError(
                f"{layer.label} needs a propagate_down for each bottom, or none",
                where=node.where,
                expected=str(len(node.bottoms)),
                found=str(len(explicit)),
            )
        below = [wants[value] for value in node.bottoms]
        down.append(explicit or below)
        params.append(tuple(lr_mult(node, layer, i) != 0 for i in range(len(need.params))))
        backward.append(any(below) or any(params[-1]))
        wants.update((top, backward[-1]) for top in node.tops)

    under_loss: set[Value] = set()
    no_gradient_from_above: set[Value] = set()
    for node in reversed(graph.nodes):
        i = node.index
        contributes = any(
            weights[i][k] != 0 or top in under_loss for k, top in enumerate(node.tops)
        )
        asked = contributes and any(top not in no_gradient_from_above for top in node.tops)
        if not asked and not layers[i].without_loss:
            backward[i] = False
        if not backward[i]:
            down[i] = [False] * len(node.bottoms)
        if contributes:
            under_loss.update(node.bottoms)
        no_gradient_from_above.update(
            v for v, flag in zip(node.bottoms, down[i], strict=True) if not flag
        )

    if graph.force_backward:
        backward = [True] * len(backward)
        down = [[True] * len(flags) for flags in down]
        params = [(True,) * len(flags) for flags in params]
    for node, layer in zip(graph.nodes, layers, strict=True):
        down[node.index] = [
            flag and k not in layer.no_gradient for k, flag in enumerate(down[node.index])
        ]
    return Schedule(weights, tuple(backward), tuple(tuple(flags) for flags in down), tuple(params))
