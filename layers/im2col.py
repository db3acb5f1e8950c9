"""Im2col: what the windows of a convolution see, laid out as channels.

    y[n, (c, k), o] = x[n, c, s o - p + d k], 0 outside x            dx[n, c, i] = sum of its copies

    x (.., C, *S) -> y (.., C prod(kernel), *O),  O = (S + 2 p - (d (k - 1) + 1)) // s + 1

Of its convolution_param only kernel, stride, pad, dilation and axis mean anything here.  SpecError
for a message that contradicts itself, ShapeError where no window fits.

Source: Caffe's src/caffe/layers/im2col_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ..kernels.im2col import Box, Window, col2im, im2col
from .base import Array, Blob, Context, Shape, Shapes
from .windows import Windowed, channel_axis, check_window, outputs


class Im2col(Windowed):
    type = "Im2col"
    records = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self.param = spec.convolution_param
        check_window(self, self.param)

    def shapes(self, *bottom: Shape) -> Shapes:
        shape = bottom[0]
        axis = channel_axis(self, shape)
        size = shape[axis + 1 :]
        window = self.window(len(size))
        channels = shape[axis] * window.volume
        return Shapes(((*shape[:axis], channels, *outputs(self, window, size)),))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, col, window, box = self._arrays(bottom[0].data, top[0].data)
        im2col(x, window, box, col)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0]:
            dx, col, window, box = self._arrays(bottom[0].diff, top[0].diff)
            dx.fill(0)
            col2im(col, window, box, dx)

    def _arrays(self, x: Array, y: Array) -> tuple[Array, Array, Window, Box]:
        """x (planes, *S), y (planes, *kernel, *O), the window, and all of O."""
        axis = self.param.axis % x.ndim
        out, planes = y.shape[axis + 1 :], prod(x.shape[: axis + 1])
        window = self.window(len(out))
        x, col = x.reshape(planes, *x.shape[axis + 1 :]), y.reshape(planes, *window.kernel, *out)
        return x, col, window, tuple((0, n) for n in out)
