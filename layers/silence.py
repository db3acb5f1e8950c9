"""Silence: reads blobs that nobody else reads, so that they are not outputs of the net.

    no top            dx = 0

Source: Caffe's src/caffe/layers/silence_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence

from .base import Blob, Layer, Shape, Shapes


class Silence(Layer):
    type = "Silence"
    records = True
    any_layout = True
    bottoms = (1, None)
    tops = 0

    def shapes(self, *bottom: Shape) -> Shapes:
        return Shapes(())

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Nothing to do."""

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        for blob, down in zip(bottom, propagate_down, strict=True):
            if down:
                blob.diff[...] = 0
