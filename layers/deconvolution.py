"""Deconvolution: every bottom element paints a weighted kernel onto the top.

    y[n, m, s o - p + d k] += w[c, m, k] x[n, c, o],  then + b[m]

    x (.., C, *S), w (C, M / group, *kernel), b (M), y (.., M, *O)
    O = s (S - 1) + d (k - 1) + 1 - 2 p

The data gradient of a convolution, as a layer.  ShapeError where padding leaves nothing.

Source: Caffe's src/caffe/layers/deconv_layer.cpp.
"""

from __future__ import annotations

from ..errors import ShapeError
from ..kernels.im2col import Window
from .base import Shape
from .filtering import Filtering
from .sizes import times


class Deconvolution(Filtering):
    type = "Deconvolution"
    family = "deconvolution"
    transposed = True

    def geometry(self, channels: int, size: Shape, window: Window) -> tuple[Shape, Shape]:
        out = window.inputs(size)
        if min(out) < 1:
            raise ShapeError(
                f"{self.label} pads away all of its top: {times(size)} would become {times(out)}",
                where=self.context.where,
                found=f"pad {times(window.pad)}",
            )
        return (channels, self.outputs // self.group, *window.kernel), out
