"""Receptive fields: how much of the image a value of a map depends on, along each spatial axis.

Backward from one place of the map, interval by interval:

    convolution, pooling    [a, b] -> [s a - p, s b - p + d (k - 1)]
    deconvolution           [a, b] -> [ceil((a + p - d (k - 1)) / s), floor((b + p) / s)]
    crop                    [a, b] -> [a + offset, b + offset]

Places of one map may differ (which pixels a pooling window shares), so it is the most over places
around the map's middle.  Padding counts as image.  None: not to be told, or all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    size, most = shapes[value][2 + axis], 0
    first = max(0, size // 2 - PLACES // 2)
    last = next(i for i, node in enumerate(graph.nodes) if image in node.tops)
    upto = next((i for i, node in enumerate(graph.nodes) if value in node.tops), last)
    for place in range(first, min(size, first + PLACES)):
        needed: dict[Value, Span] = {value: (place, place)}
        for i in range(upto, last, -1):
            node = graph.nodes[i]
            spans = [needed[top] for top in node.tops if top in needed]
            if not spans or not node.bottoms:
                continue
            span = _join(spans)
            for j, bottom in enumerate(node.bottoms):
                if node.type == "Crop" and j:
                    continue
                below = _below(layers[i], node.layer, shapes, (node.tops[0], bottom), span, axis)
                if below is None:
                    return None
                needed[bottom] = _join([below, *([needed[bottom]] if bottom in needed else [])])
        if image in needed:
            low, high = needed[image]
            most = max(most, high - low + 1)
    return most or None


def _join(spans: Sequence[Span]) -> Span:
    return min(low for low, _ in spans), max(high for _, high in spans)


def _below(
    layer: Layer,
    spec: Any,
    shapes: Mapping[Value, Shape],
    values: tuple[Value, Value],
    span: Span,
    axis: int,
) -> Span | None:
    """What of a bottom `span` of the top depends on."""
    (low, high), top, bottom = span, *(shapes[v] for v in values)
    if len(top) != len(bottom) or spec.type in _LOOKS_AT_ALL:
        return None
    if spec.type in ("Convolution", "Pooling", "Deconvolution"):
        if spec.type == "Pooling" and spec.pooling_param.global_pooling:
            return None
        window = layer.window(len(top) - 2)  # type: ignore[attr-defined]
        step, pad = window.stride[axis], window.pad[axis]
        reach = window.extent[axis] - 1
        if spec.type == "Deconvolution":
            return -((reach - low - pad) // step), (high + pad) // step
        return step * low - pad, step * high - pad + reach
    if spec.type == "Crop":
        offset = layer.offsets(len(bottom))[2 + axis]  # type: ignore[attr-defined]
        return low + offset, high + offset
    if spec.type == "Concat":  # a larger one is cut to its middle
        rim = max(0, bottom[2 + axis] - top[2 + axis]) // 2
        return low + rim, high + rim
    if spec.type == "LRN" and spec.lrn_param.norm_region == spec.lrn_param.WITHIN_CHANNEL:
        half = (spec.lrn_param.local_size - 1) // 2
        return low - half, high + half
    return (low, high) if top[2 + axis] == bottom[2 + axis] else None
