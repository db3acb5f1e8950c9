"""A measure's result, and the arithmetic that several measures share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Score:
    """What a measure found; nan where it is not defined.

    value: of all slices together; slices: of each of them; threshold: where the value is best, None
    for measures that need none; counts: what the value was made of; classes: the same measure for
    each class by name, where it has several.
    """

    value: float
    slices: tuple[float, ...]
    threshold: float | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, Score] = field(default_factory=dict)


def f_score(tp: float, fp: float, fn: float) -> float:
    """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN); 1 where there is nothing."""
    whole = 2 * tp + fp + fn
    return float(2 * tp / whole) if whole > 0 else 1.0


def ratio(part: float, whole: float) -> float:
    """part / whole; nan where the whole is nothing."""
    return float(part / whole) if whole else math.nan


def mean(values: Iterable[float]) -> float:
    """Of those that are defined; nan where none is."""
    known = [v for v in values if not math.isnan(v)]
    return ratio(math.fsum(known), len(known))
