"""Axes as prototxts give them: counted from the front, or negative from the back."""

from __future__ import annotations

from math import prod
from typing import Any

from ..errors import ShapeError, SpecError
from .base import Array, Layer, Shape
from .sizes import times


def axis_of(layer: Layer, axis: int, shape: Shape) -> int:
    """The axis counted from the front; ShapeError where a bottom of this shape has no such axis."""
    if -len(shape) <= axis < len(shape):
        return axis % len(shape)
    raise ShapeError(
        f"{layer.label} works on axis {axis}, which its bottom '{layer.spec.bottom[0]}' lacks",
        where=layer.context.where,
        expected=f"{-len(shape)} to {len(shape) - 1}" if shape else "a blob with axes",
        found=f"shape {times(shape)}",
    )


def given_axis(layer: Layer, param: Any, older: str) -> int:
    """The axis that a message gives in its field `axis` or in an older one; SpecError where it
    gives both."""
    if not param.HasField(older):
        return int(param.axis)
    if param.HasField("axis"):
        raise SpecError(
            f"{layer.label} gives both axis and {older}",
            where=layer.context.where,
            remedy=f"Keep axis: {older} is its older name",
        )
    return int(getattr(param, older))


def outer_classes_inner(x: Array, axis: int) -> Array:
    """x as (outer, classes, inner), with the classes on `axis`."""
    axis %= x.ndim
    return x.reshape(prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :]))
