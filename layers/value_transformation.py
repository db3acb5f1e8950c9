"""ValueTransformation: an offset and a scale for each channel.

    y[n, c] = (x[n, c] + offset_c) scale_c            dx[n, c] = dy[n, c] scale_c

x (N, C, ..); one value for all channels, one for each, or none (0 and 1).  The offset comes first.
May work in place.  ShapeError for another number of values.
Source: caffe_unet's src/caffe/layers/value_transformation_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from .base import Array, Blob, Context, Layer, Shape, Shapes
from .sizes import times


class ValueTransformation(Layer):
    type = "ValueTransformation"
    records = True
    in_place = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._known: dict[tuple[str, type, int], Array] = {}

    def _values(self, field: str, x: Array, default: float) -> Array:
        """One number, or one for each channel, to go with x; made once, for the host's numbers
        cannot be copied in a pass that is recorded."""
        key = (field, type(x), x.ndim)
        if key not in self._known:
            values = getattr(self.spec.value_transformation_param, field).v or [default]
            made = np.array(values, x.dtype, like=x)
            self._known[key] = made.reshape((-1,) + (1,) * (x.ndim - 2))
        return self._known[key]

    def shapes(self, *bottom: Shape) -> Shapes:
        channels = bottom[0][1] if len(bottom[0]) > 1 else None
        for field in ("offset", "scale"):
            count = len(getattr(self.spec.value_transformation_param, field).v)
            if channels is None or count not in (0, 1, channels):
                raise ShapeError(
                    f"{self.label} wants one {field}, or one for each channel",
                    where=self.context.where,
                    expected="a channel axis" if channels is None else f"1 or {channels}",
                    found=f"shape {times(bottom[0])}" if channels is None else count,
                )
        return Shapes((bottom[0],))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, y = bottom[0].data, top[0].data
        np.add(x, self._values("offset", x, 0), out=y)
        y *= self._values("scale", x, 1)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0]:
            dy = top[0].diff
            np.multiply(dy, self._values("scale", dy, 1), out=bottom[0].diff)
