"""The measures of the ISBI 2012 challenge: how well membranes part cells.

A prediction is a map of the probability of cell interior (1 interior, 0 membrane); the truth is
binary, above 0 = interior.  Objects are 4-connected pieces of the interior.  Every measure is the
best over the thresholds 0.0, 0.1, ... 1.0 (summed up in floating point, so the last one is just
below 1), a pixel being interior where its value is greater; the warping error leaves out the last.

    pixel error    1 - F of interior pixels           counts summed over slices
    Rand error     1 - F of pairs of pixels           counts summed over slices (2012 ranking)
    warping error  split and merge pixels / pixels    counts summed over slices (imaging/warping.py)
    V_rand         F of pairs, thinned borders        mean over slices (2014 ranking)
    V_info         F of information, thinned borders  mean over slices (2014 ranking)

F of pairs and of information: imaging/partition.py.  "Thinned" is the watershed of
imaging/watershed.py.  Slices whose truth has no interior have no objects: they are left out, and
nan where nothing else is there.

Every measure has two functions: one makes a `part` of each slice, the other a `Score` of all parts.

Source: Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142, 2015, and the evaluation pages of
the challenge, whose conventions (thresholds, sums, means) are followed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import warping
from .partition import Shares, information, rand_counts, shares
from .score import Score, f_score, ratio
from .views import Pair, pieces
from .watershed import thin


def thresholds() -> list[float]:
    """0, 0.1, ... as a loop adding 0.1 gives them: eleven values, the last 0.9999999999999999."""
    values, th = [], 0.0
    while th <= 1:
        values.append(th)
        th += 0.1
    return values


STEPS = thresholds()
WARPING_STEPS = STEPS[:10]


def at_thresholds(pair: Pair, measure: Callable[[np.ndarray], Any]) -> list[Any]:
    """measure(interior) at each of STEPS; a map equal to the one before is not measured again."""
    found: list[Any] = []
    before = None
    for th in STEPS:
        interior = pair.guess.probability > th
        same = before is not None and np.array_equal(interior, before)
        found.append(found[-1] if same else measure(interior))
        before = interior
    return found


# ---------------------------------------------------------------------- parts of one slice


def pixel_part(pair: Pair) -> np.ndarray:
    """(thresholds, 3): TP, FP, FN of interior pixels."""
    truth = pair.truth.interior
    return np.array(at_thresholds(pair, lambda interior: pixel_counts(truth, interior)), float)


def pixel_counts(truth: np.ndarray, interior: np.ndarray) -> tuple[float, float, float]:
    """TP, FP, FN of interior pixels; both maps bool."""
    both = float(np.count_nonzero(truth & interior))
    return both, np.count_nonzero(interior) - both, np.count_nonzero(truth) - both


def rand_part(pair: Pair) -> np.ndarray:
    """(thresholds, 3): TP, FP, FN of pairs of pixels."""
    truth = pair.truth.objects
    measure = lambda interior: rand_counts(shares(truth, pieces(interior)))  # noqa: E731
    return np.array(at_thresholds(pair, measure), float)


def v_rand_part(pair: Pair) -> np.ndarray:
    """F of pairs at each threshold; nan where the truth has no interior."""
    return np.array([f_score(*rand_counts(s)) if s.n else np.nan for s in thinned(pair)])


def v_info_part(pair: Pair) -> np.ndarray:
    """F of information at each threshold; nan where the truth has no interior."""
    return np.array([information(s) if s.n else np.nan for s in thinned(pair)])


def thinned(pair: Pair) -> list[Shares]:
    """At each threshold: the truth's objects shared out to the prediction's thinned ones."""
    if "thinned" not in pair.made:
        truth = pair.truth.objects
        measure = lambda interior: shares(truth, thin(interior))  # noqa: E731
        pair.made["thinned"] = at_thresholds(pair, measure)
    made: list[Shares] = pair.made["thinned"]
    return made


def warping_part(pair: Pair) -> np.ndarray:
    """(thresholds, 3): split pixels, merge pixels, all pixels."""
    truth, guess = pair.truth.interior, pair.guess.probability
    counted = []
    for th in WARPING_STEPS:
        kinds, _, _ = warping.mistakes(truth, guess, th)
        splits = np.count_nonzero(kinds == warping.Mistake.SPLIT)
        counted.append((splits, np.count_nonzero(kinds == warping.Mistake.MERGE), truth.size))
    return np.array(counted, float)


# ---------------------------------------------------------------------- over slices, thresholds


def summed(parts: Sequence[np.ndarray]) -> Score:
    """1 - F of TP, FP, FN (thresholds, 3) summed over the slices, at the best threshold."""
    counts = np.array(parts)
    totals = counts.sum(axis=0)
    scores = [f_score(*total) for total in totals]
    best = int(np.argmax(scores))
    each = tuple(1 - f_score(*c) if any(c) else float("nan") for c in counts[:, best])
    value = 1 - scores[best] if totals[best].any() else float("nan")
    return Score(value, each, STEPS[best])


def averaged(parts: Sequence[np.ndarray]) -> Score:
    """The mean over slices (thresholds), at the best threshold."""
    scores = np.array(parts)
    known = scores[~np.isnan(scores).any(axis=1)]
    if not len(known):
        return Score(float("nan"), tuple(map(float, scores[:, 0])), float("nan"))
    means = known.mean(axis=0)
    best = int(np.argmax(means))
    return Score(float(means[best]), tuple(map(float, scores[:, best])), STEPS[best])


def warped(parts: Sequence[np.ndarray]) -> Score:
    """Split and merge pixels over all pixels (thresholds, 3) at the best threshold."""
    counts = np.array(parts)
    splits, merges, pixels = counts.sum(axis=0).T
    best = int(np.argmin((splits + merges) / pixels))
    each = tuple(ratio(s + m, n) for s, m, n in counts[:, best])
    said = {"split pixels": int(splits[best]), "merge pixels": int(merges[best])}
    value = ratio(splits[best] + merges[best], pixels[best])
    return Score(value, each, WARPING_STEPS[best], said)
