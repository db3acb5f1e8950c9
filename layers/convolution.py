"""Convolution: every top element is a weighted sum of what a window sees of the bottom.

    y[n, m, o] = b[m] + sum_{c, k} w[m, c, k] x[n, c, s o - p + d k]

    x (.., C, *S), w (M, C / group, *kernel), b (M), y (.., M, *O)
    O = (S + 2 p - (d (k - 1) + 1)) // s + 1

Strictly a cross-correlation: the kernel is not flipped.  ShapeError where no window fits.

Source: Caffe's src/caffe/layers/conv_layer.cpp.
"""

from __future__ import annotations

from ..kernels.im2col import Window
from .base import Shape
from .filtering import Filtering
from .windows import outputs


class Convolution(Filtering):
    type = "Convolution"
    family = "convolution"

    def geometry(self, channels: int, size: Shape, window: Window) -> tuple[Shape, Shape]:
        out = outputs(self, window, size)
        return (self.outputs, channels // self.group, *window.kernel), out
