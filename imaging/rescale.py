"""An image brought to the pixel size a net was trained at, and its scores brought back.

    factor = pixel size of the image / pixel size of the net        along each axis
    there    y[i] = x(i / factor)       i = 0 ... round(n * factor) - 1
    back     s[j] = score(j * factor)   j = 0 ... n - 1

with x(t) interpolated linearly between the pixels at whole t, and mirrored beyond the last one.  So
pixel 0 lies on pixel 0, and what is brought back lies where it was.  Nothing is smoothed before an
image is made smaller.  Sizes that differ by less than 1 % count as equal: the image stays as it is.

Source: the Fiji plugin of 2019 (TrainingSample, rescaleXY), whose sizes, places and interpolation
these are; so a net trained through it sees what it saw in training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data.rescale import between, new_shape
from ..errors import ImageError

EQUAL = 0.01
FARTHEST = 1_000_000  # no two microscopes are that far apart; 1e-300 um is a slip or a trap


@dataclass(frozen=True)
class Rescaling:
    """From an image of `shape` to one of `inner` pixels, by `factors` along the spatial axes."""

    shape: tuple[int, ...]
    inner: tuple[int, ...]
    factors: tuple[float, ...]

    @property
    def needed(self) -> bool:
        return any(f != 1 for f in self.factors)

    def there(self, image: np.ndarray) -> np.ndarray:
        """An image (channels, *shape) as (channels, *inner), float32 or float64; NaN spreads."""
        for axis, (size, f) in enumerate(zip(self.inner, self.factors, strict=True), 1):
            if f != 1:
                image = between(image, axis, np.arange(size) / f)
        return image

    def back(self, scores: np.ndarray) -> np.ndarray:
        """Scores (classes, *inner) on the grid of the image, (classes, *shape)."""
        for axis, (size, f) in enumerate(zip(self.shape, self.factors, strict=True), 1):
            if f != 1:
                scores = between(scores, axis, np.arange(size) * f)
        return scores


def rescaling(
    shape: Sequence[int],
    image: Sequence[float] | None,
    net: Sequence[float] | None,
    where: str = "",
) -> Rescaling:
    """The rescaling of an image of `shape`; image, net: their pixel sizes along the same axes, in
    one unit, None where unknown: then nothing is rescaled.

    Raises ImageError, which says `where`, if one of them is more than FARTHEST times the other.
    """
    shape = tuple(shape)
    if not image or not net:
        return Rescaling(shape, shape, (1.0,) * len(shape))
    factors = tuple(
        1.0 if math.isclose(a, b, rel_tol=EQUAL) else a / b for a, b in zip(image, net, strict=True)
    )
    if not all(1 / FARTHEST <= f <= FARTHEST for f in factors):
        raise ImageError(
            "its pixels and the net's have nothing in common",
            where=where,
            expected=f"sizes of which none is more than {FARTHEST:,} times the other",
            found=" and ".join(" x ".join(f"{s:g}" for s in sizes) for sizes in (image, net)),
            remedy="Say what they are with --pixel-size and --model-pixel-size",
        )
    return Rescaling(shape, new_shape(shape, factors), factors)
