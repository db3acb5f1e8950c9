"""One slice, or one volume, of truth and prediction, seen as what a measure needs.

    what it is     interior             classes          objects
    binary         above 0              0 and 1          4-connected pieces
    probability    above the threshold  0 and 1          4-connected pieces of the interior
    classes        above 0              the values       4-connected pieces of each class above 0
    instances      above 0; touching    0 and 1          the values
                   objects get a gap

In volumes pieces are connected by faces.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..data.distances import compact
from ..data.weight_map import separate
from ..errors import ImageError, check_known

KINDS = ("probability", "binary", "classes", "instances")


@dataclass(frozen=True, eq=False)
class View:
    """pixels (height, width), or (depth, height, width), and what they are: one of KINDS, or
    ImageError."""

    pixels: np.ndarray
    kind: str
    threshold: float = 0.5

    def __post_init__(self) -> None:
        check_known(self.kind, KINDS, "kind of pixels", ImageError)

    @cached_property
    def interior(self) -> np.ndarray:
        """bool."""
        if self.kind == "instances":
            return separate(self.pixels)
        inside: np.ndarray = self.pixels > (self.threshold if self.kind == "probability" else 0)
        return inside

    @cached_property
    def probability(self) -> np.ndarray:
        """Of interior, float64; 0 and 1 where only the interior is known."""
        known = self.pixels if self.kind == "probability" else self.interior
        return known.astype(np.float64)

    @cached_property
    def classes(self) -> np.ndarray:
        """int64."""
        if self.kind == "classes":
            return self.pixels.astype(np.int64)
        there = self.interior if self.kind == "probability" else self.pixels != 0
        return there.astype(np.int64)

    @cached_property
    def objects(self) -> np.ndarray:
        """Their numbers 1, 2, ... without gaps, int32; 0 outside."""
        if self.kind == "instances":
            return compact(self.pixels)[0]
        return pieces(self.pixels if self.kind == "classes" else self.interior)

    @cached_property
    def class_of(self) -> np.ndarray:
        """The class of each object, int64, from object 1 on."""
        found = np.zeros(int(self.objects.max(initial=0)) + 1, np.int64)
        found[self.objects.reshape(-1)] = self.classes.reshape(-1)
        return found[1:]


@dataclass(frozen=True, eq=False)
class Pair:
    """What is compared; ImageError where it cannot be.

    ignored: bool mask of pixels that do not count.  They are no interior and no object of either
    side.  made: what several measures share, kept while the pair lives.
    """

    truth: View
    guess: View
    ignored: np.ndarray | None = None
    where: str = ""
    made: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.truth.pixels.shape != self.guess.pixels.shape:
            raise ImageError(
                "truth and prediction have different sizes (height, width)",
                where=self.where,
                expected=self.truth.pixels.shape,
                found=self.guess.pixels.shape,
            )
        if not self.truth.pixels.size:
            raise ImageError("the truth has no pixel", where=self.where)
        guess = self.guess.pixels
        if self.guess.kind == "probability" and not (guess.min() >= 0 and guess.max() <= 1):
            raise ImageError(
                "the prediction is not a probability map",
                where=self.where,
                expected="values from 0 to 1",
                found=f"{guess.min():.4g} to {guess.max():.4g}",
            )
        if self.ignored is not None:
            for name, view in (("truth", self.truth), ("guess", self.guess)):
                kept = np.where(self.ignored, view.pixels.dtype.type(0), view.pixels)
                object.__setattr__(self, name, View(kept, view.kind, view.threshold))


def pieces(labels: np.ndarray) -> np.ndarray:
    """The pieces of equal values above 0, connected by edges (faces), numbered from 1, int32.

    The grid is doubled: between two neighbours of one value lies a point that joins them, so one
    labelling finds the pieces of all values.
    """
    from scipy import ndimage

    if labels.dtype == bool:
        found: np.ndarray = ndimage.label(labels)[0]
        return found
    doubled = np.zeros([max(2 * n - 1, 0) for n in labels.shape], bool)
    doubled[(slice(None, None, 2),) * labels.ndim] = labels > 0
    for axis in range(labels.ndim):
        at = [slice(None, None, 2)] * labels.ndim
        at[axis] = slice(1, None, 2)
        one = np.moveaxis(labels, axis, 0)
        doubled[tuple(at)] = np.moveaxis((one[1:] == one[:-1]) & (one[1:] > 0), 0, axis)
    found = ndimage.label(doubled)[0]
    return found[(slice(None, None, 2),) * labels.ndim]
