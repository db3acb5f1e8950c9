"""What losses and Accuracy ask of their labels: one for each place, each a class.

    scores (.., classes, ..) with the classes on `axis`         labels: a shape with as many places

ShapeError where the number of labels is another, DataError for a label that is no class, or a
weight that is none.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..errors import DataError, ShapeError
from ..kernels import labels as kernel
from .base import Array, Layer, Shape
from .sizes import times


def ignored(param: Any) -> int | None:
    """The label that a message, a loss_param or the like, leaves out; None where it names none."""
    return int(param.ignore_label) if param.HasField("ignore_label") else None


def check_count(layer: Layer, what: str, name: str, scores: Shape, shape: Shape, axis: int) -> None:
    """Refuse labels (or weights: `what`) in a bottom `name` that are not one for each place."""
    places = scores[:axis] + scores[axis + 1 :]
    if prod(shape) == prod(places) and (shape[:1] == scores[:1] or axis == 0):
        return
    have, want = shape, places
    inner = len(scores) - axis - 1
    if inner and prod(shape[: len(shape) - inner]) == prod(places[:axis]):
        have, want = shape[-inner:], places[-inner:]
    raise ShapeError(
        f"{layer.label} needs one {what} for each score: '{name}' has {times(have)} but "
        f"'{layer.spec.bottom[0]}' is {times(want)}",
        where=layer.context.where,
        expected=f"{prod(places)} {what}s",
        found=f"{prod(shape)} (shape {times(shape)})",
        remedy=_another_tile(what, have, want) if have != shape else "",
    )


def _another_tile(what: str, have: Shape, want: Shape) -> str:
    """What to do about labels of a size that the net does not answer."""
    ways, size = [], times(want)
    if len(want) > 1:
        ways.append(f"pack again with the same --input-size, and --output-size {size}")
    if all(h >= w for h, w in zip(have, want, strict=True)):
        ways.append(f"crop the {what} to the middle of the net's output")
    return f"The net answers {size} for such an image: {', or '.join(ways)}" if ways else ""


def check_items(layer: Layer, scores: Shape, labels: Shape) -> None:
    """Refuse labels that are not one for each item, where all of an item's scores are classes."""
    if scores and labels[:1] == scores[:1] and prod(labels) == scores[0]:
        return
    raise ShapeError(
        f"{layer.label} needs one label for each item of '{layer.spec.bottom[0]}', "
        f"which is {times(scores)}",
        where=layer.context.where,
        expected=f"{scores[0]} labels in '{layer.spec.bottom[1]}'" if scores else "a batch",
        found=times(labels),
    )


def check_classes(layer: Layer, labels: Array, classes: int, ignore: int | None) -> None:
    """Refuse labels that are neither a class nor ignored."""
    place = kernel.first_illegal(labels, classes, ignore)
    if place is None:
        return
    raise _refusal(
        layer,
        "label",
        1,
        labels,
        place,
        expected=f"a class from 0 to {classes - 1} ('{layer.spec.bottom[0]}' has {classes} "
        f"channels)" + ("" if ignore is None else f", or {ignore} to be ignored"),
        remedy=""
        if ignore is not None
        else "If it marks what shall not count, name it as ignore_label",
    )


def check_weights(layer: Layer, weights: Array) -> None:
    """Refuse weights (bottom 2) that are negative, infinite or NaN: they would turn learning round,
    or spoil every parameter."""
    place = kernel.first_unusable(weights)
    if place is not None:
        raise _refusal(
            layer,
            "weight",
            2,
            weights,
            place,
            expected="finite weights, 0 or more",
            remedy="Make the weight map again (demitasse pack); 0 leaves a place out",
        )


def _refusal(
    layer: Layer, what: str, bottom: int, values: Array, place: int, *, expected: str, remedy: str
) -> DataError:
    """The refusal of the value at a flat `place` of a bottom."""
    item, *rest = (int(k) for k in np.unravel_index(place, values.shape))
    position = ", ".join(map(str, rest)) if any(n > 1 for n in values.shape[1:]) else ""
    error = DataError(
        f"{layer.label} found the {what} {values.reshape(-1)[place]:g} in "
        f"'{layer.spec.bottom[bottom]}', item {item}"
        + (f", position ({position})" if position else ""),
        where=layer.context.where,
        expected=expected,
        remedy=remedy,
    )
    error.item = item
    return error
