"""Split: one blob for several readers.

    y_i = x            dx = sum_i dy_i

The tops show the bottom's own data, so forward does nothing.  Gradients are summed in the order of
the tops; a top without a diff has a reader that gives no gradient.  dx may be the first such diff.
The net inserts these layers (netspec/split.py).

It may do the work of Crops that read it (net/fusion.py): cut their parts out forward, and backward
add their gradients where they came from.

Source: Caffe's src/caffe/layers/split_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .base import Blob, Context, Layer, Shape, Shapes
from .crop import Crop


class Split(Layer):
    type = "Split"
    records = True
    any_layout = True
    tops = (1, None)
    shares_data = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self.crops: list[tuple[Crop, Blob]] = []  # those it does the work of, and their tops

    def shapes(self, *bottom: Shape) -> Shapes:
        return Shapes((bottom[0],) * len(self.spec.top))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for crop, part in self.crops:
            crop.cut(bottom[0], part)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if not propagate_down[0]:
            return
        dx, copies = bottom[0].diff, self.context.device.copies
        first, *others = [t.diff for t in top if t.diff is not None] or [None]
        if first is None:
            copies.clear(dx)
        elif first is not dx:
            copies.copy(first, dx)
        for dy in others:
            copies.add(dy, dx)
        for crop, part in self.crops:
            if part.diff is not None:
                crop.add(part, bottom[0])
