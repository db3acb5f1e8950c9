"""What Flatten and Reshape share: the top is the bottom with another shape.

    y = x            dx = dy

The top shows the bottom's own data, so forward does nothing; the net may also lay the gradients
into one place, and then backward moves nothing either.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .base import Blob, Layer


class SameData(Layer):
    shares_data = True
    records = True

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Nothing to do."""

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if not propagate_down[0]:
            return
        dx, dy = bottom[0].diff, top[0].diff
        if dy is None:  # nobody above gives a gradient
            dx[...] = 0
        else:  # nothing moves where they are one place: NumPy sees that
            np.copyto(dx, dy.reshape(dx.shape))
