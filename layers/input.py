"""Input: a blob that the caller fills.

    top = what was written into it          no bottom, no gradient

`input_param` has one shape for every top, or one for all.  Caffe also takes none and waits for a
reshape; here a shape must be known before the net is planned.

Source: Caffe's src/caffe/layers/input_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ShapeError, SpecError
from .base import Blob, Context, Shape, Shapes
from .sizes import times
from .without_gradient import WithoutGradient


class Input(WithoutGradient):
    type = "Input"
    records = True
    any_layout = True
    runs_ahead = False
    bottoms = 0
    tops = (1, None)

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._shapes = [tuple(int(d) for d in shape.dim) for shape in spec.input_param.shape]
        if len(self._shapes) not in (0, 1, len(spec.top)):
            raise SpecError(
                f"{self.label} has the wrong number of shapes",
                where=context.where,
                expected=f"one for each of its {len(spec.top)} tops, or one for all",
                found=len(self._shapes),
            )

    def shapes(self, *bottom: Shape) -> Shapes:
        tops = ", ".join(self.spec.top)
        if not self._shapes:
            raise ShapeError(
                f"{self.label} does not say how large '{tops}' is",
                where=self.context.where,
                remedy="Write it into the layer, for example "
                "input_param { shape { dim: 1 dim: 1 dim: 572 dim: 572 } }",
            )
        for shape in self._shapes:
            if any(size < 1 for size in shape):
                raise ShapeError(
                    f"{self.label} has a size below 1",
                    where=self.context.where,
                    found=f"{times(shape)} for '{tops}'",
                )
        all_tops = self._shapes * len(self.spec.top) if len(self._shapes) == 1 else self._shapes
        return Shapes(tuple(all_tops))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Nothing: the caller wrote the data."""
