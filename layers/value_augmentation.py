"""ValueAugmentation: a random curve of grey values for every item and channel.

    y[n, c] = table(x[n, c])

The curve maps 0 to a black drawn from [black_from, black_to], 1 to a white from [white_from,
white_to], and bends between them, at 2^n_control_point_insertions - 1 points, with slopes in
[slope_min, slope_max] (kernels/lookup.py).  Where the draw cannot be completed it is made again;
settings with which more than half of the draws cannot are refused.

x (N, C, ..) must lie in [0, 1]: the table has no other entries, so other images would become flat.
DataError otherwise.  Runs in both phases: prototxts include it in TRAIN.  Pass k of a layer draws
from counter k of its own stream, so a resumed run goes on exactly.  May work in place, no gradient.
Source: caffe_unet's src/caffe/layers/value_augmentation_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DataError, ShapeError, SpecError
from ..kernels import lookup as kernel
from .base import Array, Blob, Context, Shape, Shapes
from .counted import Counted
from .sizes import times
from .stream import stream
from .without_gradient import WithoutGradient

TRIALS = 10_000  # draws made to learn how many can be completed
SLACK = 1e-3  # how far outside [0, 1] rounding may bring a value


class ValueAugmentation(WithoutGradient, Counted):
    type = "ValueAugmentation"
    in_place = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        p = spec.value_augmentation_param
        self._ranges = (
            (p.black_from, p.black_to),
            (p.white_from, p.white_to),
            (p.slope_min, p.slope_max),
        )
        self._insertions = int(p.n_control_point_insertions)
        for what, fits in {
            "lut_size must be 2 or more": p.lut_size >= 2,
            "n_control_point_insertions must be from 0 to 10": 0 <= self._insertions <= 10,
            "slope_min must not be above slope_max": p.slope_min <= p.slope_max,
            "black_from must not be above black_to": p.black_from <= p.black_to,
            "white_from must not be above white_to": p.white_from <= p.white_to,
            "black_to must not be above white_from": p.black_to <= p.white_from,
        }.items():
            if not fits:
                raise SpecError(f"{self.label}: {what}", where=context.where)
        trial = np.random.Generator(np.random.Philox(key=0))
        _, fits = kernel.points(trial, TRIALS, *self._ranges, self._insertions)
        if 2 * fits.sum() < TRIALS:
            raise SpecError(
                f"{self.label}: from black to white no curve can have slopes between "
                f"{p.slope_min:g} and {p.slope_max:g}",
                where=context.where,
                expected="settings with which at least half of the draws can be completed",
                found=f"{100 * fits.mean():.0f} %",
                remedy="Widen slope_min and slope_max, or narrow the ranges of black and white",
            )
        self._matrix = kernel.matrix(self._insertions, int(p.lut_size))

    def shapes(self, *bottom: Shape) -> Shapes:
        if len(bottom[0]) < 2:
            raise ShapeError(
                f"{self.label} wants items and channels",
                where=self.context.where,
                found=f"shape {times(bottom[0])}",
            )
        return Shapes((bottom[0],))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, rng = bottom[0].data, stream(self.context, self._passes)
        self._passes += 1
        self._check(x)
        for item, out in zip(x, top[0].data, strict=True):
            for channel, y in zip(item, out, strict=True):
                self.context.device.lookup.apply(channel, self._table(rng), y)

    def _table(self, rng: np.random.Generator) -> Array:
        while True:  # most draws can be completed: __init__ saw to that
            control, fits = kernel.points(rng, 1, *self._ranges, self._insertions)
            if fits[0]:
                return kernel.table(self._matrix, control[0])

    def _check(self, x: Array) -> None:
        low, high = float(x.min()), float(x.max())
        if not (low >= -SLACK and high <= 1 + SLACK):
            raise DataError(
                f"{self.label} takes grey values from 0 to 1, but '{self.spec.bottom[0]}' has "
                "others",
                where=self.context.where,
                found=f"{low:g} to {high:g}",
                remedy="Normalise the training images to [0, 1] (min-max), or leave this layer out",
            )
