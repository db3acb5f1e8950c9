"""Shapes that the text of a layer without bottoms states in full.

Input, DummyData, MemoryData -> (images, channels, height, width), or whatever they say
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_OLD = ("num", "channels", "height", "width")  # DummyData's, before it had shapes
_MEMORY = ("batch_size", "channels", "height", "width")


def stated(layer: Any, blob: str) -> tuple[int, ...] | None:
    """The shape of a top; None where the layer does not make it or does not state it."""
    if blob not in layer.top:
        return None
    shapes, i = _shapes(layer), list(layer.top).index(blob)
    if len(shapes) == 1:
        return tuple(shapes[0])
    return tuple(shapes[i]) if i < len(shapes) else None


def _shapes(layer: Any) -> Sequence[Sequence[int]]:
    """One for each top, or one for all."""
    if layer.type == "Input":
        return [shape.dim for shape in layer.input_param.shape]
    if layer.type == "DummyData":
        param = layer.dummy_data_param
        old = [list(getattr(param, field)) for field in _OLD]
        most = max(map(len, old))
        columns = [sizes * most if len(sizes) == 1 else sizes for sizes in old]
        return [shape.dim for shape in param.shape] or list(zip(*columns, strict=False))
    if layer.type == "MemoryData":
        shape = [getattr(layer.memory_data_param, field) for field in _MEMORY]
        return [shape, (shape[0], 1, 1, 1)] if all(shape) else []
    return []
