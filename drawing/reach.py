"""Receptive fields: how much of the image a value of a map depends on, along each spatial axis.

Backward from one place of the map, interval by interval:

    convolution, pooling    [a, b] -> [s a - p, s b - p + d (k - 1)]
    deconvolution           [a, b] -> [ceil((a + p - d (k - 1)) / s), floor((b + p) / s)]
    crop                    [a, b] -> [a + offset, b + offset]

Places of one map may differ (which pixels a pooling window shares), so it is the most over places
around the map's middle.  Padding counts as image.  None: not to be told, or all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..layers.base import Layer, Shape
from ..netspec.graph import Graph, Value

PLACES = 32  # the period of a net with five poolings by two
_LOOKS_AT_ALL = frozenset({"InnerProduct", "MVN", "SPP", "Reduction", "LSTM", "RNN", "Reshape"})

Span = tuple[int, int]


def field(
    graph: Graph,
    layers: Mapping[int, Layer],
    shapes: Mapping[Value, Shape],
    value: Value,
    image: Value,
) -> tuple[int, ...] | None:
    """The receptive field of a value's map in the image, along each spatial axis."""
    if any(len(shapes.get(v, ())) < 3 for v in (value, image)):
        return None
    sizes = shapes[value][2:]
    found = tuple(_field(graph, layers, shapes, value, image, i) for i in range(len(sizes)))
    return None if None in found else found  # type: ignore[return-value]


def _field(
    graph: Graph,
    layers: Mapping[int, Layer],
    shapes: Mapping[Value, Shape],
    value: Value,
    image: Value,
    axis: int,
) -> int | None:
    last = next(i for i, node in enumerate(graph.nodes) if image in node.tops)
    upto = next((i for i, node in enumerate(graph.nodes) if value in node.tops), last)
    steps = []  # tops, and for each bottom how a span of the tops becomes one of it
    for node in reversed(graph.nodes[last + 1 : upto + 1]):
        read = node.bottoms[:1] if node.type == "Crop" else node.bottoms
        rules = [
            (bottom, _rule(layers.get(node.index), node.layer, shapes, node.tops[0], bottom, axis))
            for bottom in read
        ]
        steps.append((node.tops, rules))
    size, most = shapes[value][2 + axis], 0
    first = max(0, size // 2 - PLACES // 2)
    for place in range(first, min(size, first + PLACES)):
        needed: dict[Value, Span] = {value: (place, place)}
        for tops, rules in steps:
            spans = [needed[top] for top in tops if top in needed]
            if not spans:
                continue
            span = _join(spans)
            for bottom, rule in rules:
                if rule is None:
                    return None
                below = rule(*span)
                needed[bottom] = _join((below, needed[bottom])) if bottom in needed else below
        if image in needed:
            low, high = needed[image]
            most = max(most, high - low + 1)
    return most or None


def _join(spans: Sequence[Span]) -> Span:
    return min(low for low, _ in spans), max(high for _, high in spans)


def _rule(
    layer: Layer | None,
    spec: Any,
    shapes: Mapping[Value, Shape],
    top: Value,
    bottom: Value,
    axis: int,
) -> Callable[[int, int], Span] | None:
    """What of a bottom a span of the top depends on; None where that cannot be told."""
    after, before = shapes.get(top, ()), shapes.get(bottom, ())
    if layer is None or len(after) != len(before) or spec.type in _LOOKS_AT_ALL:
        return None
    if spec.type in ("Convolution", "Pooling", "Deconvolution"):
        if spec.type == "Pooling" and spec.pooling_param.global_pooling:
            return None
        window = layer.window(len(after) - 2)  # type: ignore[attr-defined]
        step, pad = window.stride[axis], window.pad[axis]
        reach = window.extent[axis] - 1
        if spec.type == "Deconvolution":
            return lambda low, high: (-((reach - low - pad) // step), (high + pad) // step)
        return lambda low, high: (step * low - pad, step * high - pad + reach)
    shift = half = 0
    if spec.type == "Crop":
        shift = layer.offsets(len(before))[2 + axis]  # type: ignore[attr-defined]
    elif spec.type == "Concat":  # a larger one is cut to its middle
        shift = max(0, before[2 + axis] - after[2 + axis]) // 2
    elif spec.type == "LRN" and spec.lrn_param.norm_region == spec.lrn_param.WITHIN_CHANNEL:
        half = (spec.lrn_param.local_size - 1) // 2
    elif after[2 + axis] != before[2 + axis]:
        return None
    return lambda low, high: (low + shift - half, high + shift + half)
