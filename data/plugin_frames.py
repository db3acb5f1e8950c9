"""The frames that are packed for the Fiji plugin, and where their annotation comes from.

Objects may be outlined in a mask, or known by a point alone, or both: points are drawn over the
mask once it has its final size (`plugin_weights.draw_points`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from .labels import Target
from .masks import MaskRule
from .rescale import place

Point = tuple[int, tuple[float, ...]]  # class from 1 on, place in pixels of the frame, [z,] y, x


@dataclass(frozen=True)
class Frames:
    """What to pack; all sequences are of one length and may load on access.

    images: (channels, *spatial); masks, objects, ignored: (*spatial), see MaskRule; names: for
    messages; files: the number of the image file each is from, ascending; pixel_sizes: um, of each
    spatial axis; points: of objects that no mask outlines.  Without masks all else is background.
    """

    images: Sequence[np.ndarray]
    masks: Sequence[np.ndarray] | None
    names: Sequence[str]
    files: Sequence[int]
    pixel_sizes: Sequence[tuple[float, ...]]
    objects: Sequence[np.ndarray] | None = None
    ignored: Sequence[np.ndarray] | None = None
    points: Sequence[Sequence[Point]] | None = None

    def target(self, i: int, rule: MaskRule) -> Target:
        """What the masks of a frame say."""
        ignored = None if self.ignored is None else self.ignored[i]
        if self.masks is None:
            shape = self.images[i].shape[1:]
            return MaskRule("instances", background=1)(
                np.ones(shape, np.uint8), ignored=ignored, where=self.names[i]
            )
        return rule(
            self.masks[i],
            objects=None if self.objects is None else self.objects[i],
            ignored=ignored,
            where=self.names[i],
        )

    def points_of(self, i: int) -> Sequence[Point]:
        return () if self.points is None else self.points[i]

    def counted(self, i: int, rule: MaskRule) -> np.ndarray:
        """The classes of a frame, every point a pixel; DataError for one outside the frame."""
        classes = self.target(i, rule).classes
        for c, position in self.points_of(i):
            at = place(position, (1.0,) * len(position))
            if any(not 0 <= p < n for p, n in zip(at, classes.shape, strict=True)):
                raise DataError(
                    "a point lies outside the image",
                    where=self.names[i],
                    expected=f"[z,] y, x below {classes.shape}",
                    found=tuple(float(p) for p in position),
                    remedy="Places are in pixels, from 0",
                )
            classes[at] = c
        return classes
