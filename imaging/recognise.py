"""What a stack of labels or predictions is, told from its values.

    floating point with fractions, from 0 to 1          probability
    at most one value besides 0                         binary
    every value of a slice in one piece (75 %)          instances
    values in many pieces, fewer than 16 of them        classes
    values in many pieces, more of them                 probability (integers)
    16 values or more, of a few pixels each             probability (integers); if the values are
                                                        1, 2, 3, ... in one piece each, instances

Labels are no probabilities: there the last but one is classes, and the last undecided.  Everything
between is undecided too: the user is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..errors import ImageError
from .views import pieces

LOOKED_AT = 8  # slices in which pieces are counted
_FEW = 16  # values of a map of classes
_MANY = 64  # values of an image, at least
_OBJECTS, _CLASSES = 0.75, 0.5  # of the (slice, value) pairs in one piece
_GRAIN = 5  # pixels of a value, by the median: grey values of 16 bits and no objects


@dataclass
class Survey:
    """What is known of a stack's values; `add` looks at one slice.

    fractions: whether some value is not whole; values: all whole values; single of `seen` pairs of
    a slice and a value besides 0 are in one piece; areas: the pixels of all these pairs.
    """

    fractions: bool = False
    low: float = np.inf
    high: float = -np.inf
    values: set[int] = field(default_factory=set)
    single: int = 0
    seen: int = 0
    areas: list[np.ndarray] = field(default_factory=list, repr=False)
    slices: int = 0

    def add(self, pixels: np.ndarray, where: str) -> None:
        """Look at one slice; ImageError where a value is not finite."""
        if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
            raise ImageError(
                "holds values that are not finite",
                where=where,
                expected="numbers",
                found=f"{np.count_nonzero(~np.isfinite(pixels))} NaN or infinite pixels",
            )
        if not pixels.size:
            raise ImageError("has no pixel", where=where)
        self.low = min(self.low, float(pixels.min()))
        self.high = max(self.high, float(pixels.max()))
        if pixels.dtype.kind == "f" and not (pixels == np.rint(pixels)).all():
            self.fractions = True
            return
        values = np.unique(pixels).astype(np.int64)
        self.values.update(values.tolist())
        self.slices += 1
        if self.slices <= LOOKED_AT and values[0] >= 0:
            labels = pixels.astype(np.int64)
            found = pieces(labels)
            inside = found > 0
            each = np.unique(np.stack([labels[inside], found[inside]]), axis=1)[0]
            _, times = np.unique(each, return_counts=True)
            _, areas = np.unique(labels[inside], return_counts=True)
            self.seen += len(times)
            self.single += int(np.count_nonzero(times == 1))
            self.areas.append(areas)

    @property
    def constant(self) -> bool:
        return self.low == self.high

    @property
    def numbered(self) -> bool:
        """Whether the values are numbers from 1 on, as objects have, a quarter in one piece."""
        known = self.values - {0}
        numbers = not self.fractions and known == set(range(1, len(known) + 1))
        return numbers and len(known) > 1 and 4 * self.single >= self.seen

    @property
    def scattered(self) -> bool:
        """Whether there are many values and most lie in several pieces, as an image's grey values
        do."""
        return len(self.values) > _MANY and 2 * self.single <= self.seen

    def kind(self, *, labels: bool) -> tuple[str, str]:
        """(kind, why in words); the kind is "" where the values do not tell."""
        if self.fractions:
            return "probability", f"fractions from {self.low:.4g} to {self.high:.4g}"
        values = sorted(v for v in self.values if v != 0)
        if len(values) <= 1:
            return "binary", f"the only value besides 0 is {values[0]}" if values else "all 0"
        share = self.single / self.seen if self.seen else 0.0
        listed = ", ".join(map(str, values[:4])) + (", ..." if len(values) > 4 else "")
        why = f"{len(values)} values besides 0 ({listed}), "
        why += f"{self.single} of {self.seen} in one piece, as objects are"
        grains = self.seen and np.median(np.concatenate(self.areas)) < _GRAIN
        if grains and len(values) >= _FEW and not (self.numbered and share >= _OBJECTS):
            return ("" if labels or values[0] < 0 else "probability"), f"{why}, of few pixels"
        if share >= _OBJECTS and len(values) > 2:
            return "instances", why
        if share <= _CLASSES and values[0] > 0:
            return ("classes" if labels or len(values) < _FEW else "probability"), why
        return "", why
