"""The statistics of an image that comes in parts, for the rules of normalize.py.

    found = merged(measured(part) for part in parts)
    offset, scale = found.fit(rule)

Of whole numbers of up to 16 bits every value is counted, so all statistics are exact, however the
image was cut; of others n, the mean and the sum of squared deviations are merged (Chan, Golub,
LeVeque 1983), always in the order of the parts.  Percentiles are known of counted values only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from ..errors import ImageError
from .normalize import Normalization, check_finite, greatest_norm, inverse

NEEDING = ("minmax", "zscore", "max", "percentile")  # rules that look at the whole image


@dataclass(frozen=True)
class Statistics:
    """least, most: values; norm: the greatest length of a pixel's vector of channels; n: how many
    values; counts: how often each from `least` on comes, None where they are not counted; mean,
    squares: of values not counted, squares the sum of (x - mean)^2."""

    least: float
    most: float
    norm: float
    n: int
    mean: float = 0.0
    squares: float = 0.0
    counts: np.ndarray | None = None

    def fit(self, rule: Normalization) -> tuple[float, float]:
        """Offset and scale of the whole image; ImageError for percentiles of uncounted values."""
        if self.n == 0:
            return 0.0, 1.0
        if rule.name == "max":
            return 0.0, inverse(self.norm)
        if rule.name == "minmax":
            return -self.least, inverse(self.most - self.least, self.least)
        if rule.name == "percentile":
            low, high = (self.percentile(rule.parameters[k]) for k in ("low", "high"))
            return -low, inverse(high - low, low)
        mean, squares = self._moments()
        return -mean, inverse(math.sqrt(squares / self.n), mean)

    def _moments(self) -> tuple[float, float]:
        if self.counts is None:
            return self.mean, self.squares
        values = [int(self.least) + i for i in np.flatnonzero(self.counts).tolist()]
        times = self.counts[self.counts > 0].tolist()
        total = sum(v * t for v, t in zip(values, times, strict=True))
        square = sum(v * v * t for v, t in zip(values, times, strict=True))
        return total / self.n, (square * self.n - total * total) / self.n  # whole numbers: exact

    def percentile(self, share: float) -> float:
        """As np.percentile, between the two nearest values linearly."""
        if self.counts is None:
            raise ImageError(
                "the percentiles of an image this large are known for whole numbers of up to 16 "
                "bits only",
                remedy="Take another --normalization, for example z-score",
            )
        reached, place = np.cumsum(self.counts), share / 100 * (self.n - 1)
        low, high = (
            self.least + int(np.searchsorted(reached, k, side="right"))
            for k in (math.floor(place), math.ceil(place))
        )
        return low + (high - low) * (place - math.floor(place))


def measured(part: np.ndarray, *, nonfinite: str = "refuse", where: str = "") -> Statistics:
    """Of a part (channels, *spatial); what is not finite is refused or left out."""
    bad = check_finite(part, nonfinite=nonfinite, where=where)
    values = part.ravel() if bad is None else part[~bad]
    if values.size == 0:
        return Statistics(math.inf, -math.inf, 0.0, 0)
    least, most = values.min(), values.max()
    one = len(part) == 1
    norm = float(max(abs(float(least)), abs(float(most)))) if one else greatest_norm(part, bad)
    if part.dtype.kind in "iu" and part.dtype.itemsize <= 2:
        counts = np.bincount(values.astype(np.int64) - int(least))
        return Statistics(int(least), int(most), norm, values.size, counts=counts)
    mean = float(values.mean(dtype=np.float64))
    squares = float(np.square(np.subtract(values, mean, dtype=np.float64)).sum())
    return Statistics(float(least), float(most), norm, values.size, mean, squares)


def merged(parts: Iterable[Statistics]) -> Statistics:
    """Of all parts together."""
    return reduce(_merge, parts)


def _merge(a: Statistics, b: Statistics) -> Statistics:
    if a.n == 0 or b.n == 0:
        return a if b.n == 0 else b
    n, least, most = a.n + b.n, min(a.least, b.least), max(a.most, b.most)
    norm = max(a.norm, b.norm)
    if a.counts is not None and b.counts is not None:
        counts = np.zeros(int(most - least) + 1, np.int64)
        for one in (a, b):
            assert one.counts is not None
            start = int(one.least - least)
            counts[start : start + one.counts.size] += one.counts
        return Statistics(least, most, norm, n, counts=counts)
    apart = b.mean - a.mean
    mean = a.mean + apart * b.n / n
    squares = a.squares + b.squares + apart * apart * a.n * b.n / n
    return Statistics(least, most, norm, n, mean, squares)
