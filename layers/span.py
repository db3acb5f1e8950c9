"""What Bias and Scale share: an operand that spans some of the input's axes.

    x (outer..., operand..., inner...)

The operand is a second bottom, or a parameter as large as `num_axes` of x's axes from `axis` on
(default: the channels; num_axes -1: all the rest; 0: a single number).
"""

from __future__ import annotations

import math
from typing import Any

from ..errors import ShapeError, SpecError
from .axes import axis_of
from .base import Layer, Shape
from .sizes import times


class Span:
    """Where the operand lies in x, as the layer's bias_param or scale_param says."""

    def __init__(self, layer: Layer, param: Any) -> None:
        self._layer, self._axis, self._count = layer, int(param.axis), int(param.num_axes)
        if self._count < -1:
            raise SpecError(
                f"{layer.label} has a negative num_axes",
                where=layer.context.where,
                expected="0 or more, or -1 for all",
                found=self._count,
            )

    def operand(self, x: Shape, second: Shape | None = None) -> tuple[Shape, Shape]:
        """The operand's shape, and x's as (outer, operand, inner); `second`: the second bottom."""
        layer = self._layer
        whole = second == () or (second is None and self._count == 0)
        axis = 0 if whole else axis_of(layer, self._axis, x)
        if second is None:
            end = len(x) if self._count == -1 else axis + self._count
            if end > len(x):
                raise ShapeError(
                    f"{layer.label} spans {self._count} axes from axis {axis} on",
                    where=layer.context.where,
                    expected=f"at most {len(x) - axis}, for an input of shape {times(x)}",
                    found=self._count,
                )
            operand = x[axis:end]
        else:
            operand = second
            if operand != x[axis : axis + len(operand)]:
                raise ShapeError(
                    f"{layer.label} cannot lay its second input along the first",
                    where=layer.context.where,
                    expected=f"axes {axis}... of shape {times(x)}",
                    found=f"shape {times(operand)}",
                )
        outer = math.prod(x[:axis])
        return operand, (outer, math.prod(operand), math.prod(x[axis + len(operand) :]))
