"""How well a segmentation agrees with the truth: the measures of the ISBI 2012 challenge, and IoU.

A prediction is a map of the probability of cell interior (1 interior, 0 membrane); the truth is
binary, above 0 = interior.  Objects are 4-connected pieces of the interior.  Every measure is the
best over the thresholds 0.0, 0.1, ... 1.0 (summed up in floating point, so the last one is just
below 1), a pixel being interior where its value is greater.  IoU is taken at 0.5.

    pixel error   1 - F of interior pixels           counts summed over slices
    Rand error    1 - F of pairs of pixels           counts summed over slices (2012 ranking)
    V_rand        F of pairs, thinned borders        mean over slices (2014 ranking)
    V_info        F of information, thinned borders  mean over slices (2014 ranking)

With n interior pixels in the truth, p_ij the share of them in object i of the truth and object j of
the prediction, z = sum_i p_i0 those that the prediction calls border (each counts as an object of
its own), a_i = sum_{j>=0} p_ij and b_j = sum_i p_ij (j >= 1):

    A = sum a_i^2    B = sum b_j^2 + z / n    AB = sum_{j>=1} p_ij^2 + z / n
    precision AB / B    recall AB / A         TP = n^2 AB, TP + FP = n^2 B, TP + FN = n^2 A

    A = sum a log a    B = sum b log b - z log n    AB = sum p log p - z log n
    I = AB - A - B     precision I / -A    recall I / -B       (an entropy of 0: ratio 1)

"Thinned" is the watershed of imaging/watershed.py.  Slices whose truth has no interior have no
objects: they are left out, and nan where nothing else is there.

Source: Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142, 2015, and the evaluation pages of
the challenge, whose conventions (thresholds, sums, means) are followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ImageError
from .watershed import thin


def thresholds() -> list[float]:
    """0, 0.1, ... as a loop adding 0.1 gives them: eleven values, the last 0.9999999999999999."""
    values, th = [], 0.0
    while th <= 1:
        values.append(th)
        th += 0.1
    return values


@dataclass(frozen=True)
class Score:
    """A measure: its value, the threshold where it is best, and each slice's value there."""

    value: float
    threshold: float
    slices: tuple[float, ...]


@dataclass(frozen=True)
class Report:
    """All measures of a stack; iou by class (membrane, interior) at threshold 0.5."""

    pixel_error: Score
    rand_error: Score
    v_rand: Score
    v_info: Score
    iou: tuple[float, ...]
    iou_slices: tuple[tuple[float, ...], ...]

    @property
    def mean_iou(self) -> float:
        return _mean(self.iou)


Track = Callable[[Iterable[int], int, str], Iterable[int]]


def evaluate(
    truth: Sequence[np.ndarray], prediction: Sequence[np.ndarray], *, track: Track | None = None
) -> Report:
    """All measures of slices (height, width): truth above 0 is interior, prediction in [0, 1].

    track(indices, total, what) shows progress.  ImageError where numbers or sizes differ.
    """
    if len(truth) != len(prediction):
        raise ImageError(
            "truth and prediction have different numbers of slices",
            expected=len(truth),
            found=len(prediction),
        )
    steps = thresholds()
    n = len(truth)
    pixel = np.zeros((n, len(steps), 3))
    pairs = np.zeros((n, len(steps), 3))
    v_rand, v_info = np.zeros((n, len(steps))), np.zeros((n, len(steps)))
    overlaps = np.zeros((n, 2, 2), np.int64)
    indices: Iterable[int] = range(n)
    for i in track(indices, n, "comparing") if track else indices:
        labels, guess = check_pair(truth[i], prediction[i], f"slice {i}")
        objects = components(labels)
        for k, th in enumerate(steps):
            interior = guess > th
            pixel[i, k] = pixel_counts(labels, interior)
            pairs[i, k] = rand_counts(shares(objects, components(interior)))
            thinned = shares(objects, thin(interior))
            v_rand[i, k] = f_score(*rand_counts(thinned)) if thinned.n else np.nan
            v_info[i, k] = information(thinned) if thinned.n else np.nan
        overlaps[i] = intersections(labels, guess > 0.5)
    return Report(
        pixel_error=_summed(pixel, steps),
        rand_error=_summed(pairs, steps),
        v_rand=_averaged(v_rand, steps),
        v_info=_averaged(v_info, steps),
        iou=iou(overlaps.sum(axis=0)),
        iou_slices=tuple(iou(part) for part in overlaps),
    )


def check_pair(
    truth: np.ndarray, prediction: np.ndarray, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Truth as bool and prediction as float64; ImageError where they cannot be compared."""
    if truth.shape != prediction.shape:
        raise ImageError(
            "truth and prediction have different sizes (height, width)",
            where=where,
            expected=truth.shape,
            found=prediction.shape,
        )
    guess = prediction.astype(np.float64)
    if not (guess.size and guess.min() >= 0 and guess.max() <= 1):
        raise ImageError(
            "the prediction is not a probability map",
            where=where,
            expected="values from 0 to 1",
            found=f"{guess.min():.4g} to {guess.max():.4g}" if guess.size else "no pixel",
        )
    return truth > 0, guess


def components(interior: np.ndarray) -> np.ndarray:
    """The 4-connected pieces of a binary map, numbered from 1."""
    from scipy import ndimage

    labels: np.ndarray = ndimage.label(interior)[0]
    return labels


# ---------------------------------------------------------------------- counts and scores


def pixel_counts(truth: np.ndarray, interior: np.ndarray) -> tuple[float, float, float]:
    """TP, FP, FN of interior pixels; both maps bool."""
    both = float(np.count_nonzero(truth & interior))
    return both, np.count_nonzero(interior) - both, np.count_nonzero(truth) - both


def f_score(tp: float, fp: float, fn: float) -> float:
    """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN); 1 where there is nothing."""
    whole = 2 * tp + fp + fn
    return float(2 * tp / whole) if whole > 0 else 1.0


@dataclass(frozen=True)
class Shares:
    """How the truth's interior pixels are shared out: see the table in the module's docstring.

    n pixels; a, b: shares of the objects of truth and prediction; p: of their intersections;
    z: of the pixels that the prediction calls border.
    """

    n: int
    a: np.ndarray
    b: np.ndarray
    p: np.ndarray
    z: float


def shares(truth: np.ndarray, prediction: np.ndarray) -> Shares:
    """From two maps of object numbers, 0 outside; only pixels with truth above 0 count."""
    inside = truth > 0
    i, j = truth[inside].astype(np.int64), prediction[inside].astype(np.int64)
    n = len(i)
    if n == 0:
        empty = np.zeros(0)
        return Shares(0, empty, empty, empty, 0.0)
    width = int(j.max()) + 1
    pairs, counts = np.unique(i * width + j, return_counts=True)
    seen = pairs % width > 0
    b = np.bincount(j)[1:]
    a = np.bincount(i)
    return Shares(
        n,
        a[a > 0] / n,
        b[b > 0] / n,
        counts[seen] / n,
        float(counts[~seen].sum() / n),
    )


def rand_counts(s: Shares) -> tuple[float, float, float]:
    """TP, FP, FN of pairs of pixels (each pixel paired with itself too); zeros where n is 0."""
    if s.n == 0:
        return 0.0, 0.0, 0.0
    squares_a = float((s.a**2).sum())
    squares_b = float((s.b**2).sum()) + s.z / s.n
    both = float((s.p**2).sum()) + s.z / s.n
    all_pairs = float(s.n) ** 2
    return all_pairs * both, all_pairs * (squares_b - both), all_pairs * (squares_a - both)


def information(s: Shares) -> float:
    """F of the information terms of one slice, in [0, 1]."""
    a, p = _entropy(s.a), _entropy(s.p)
    b = _entropy(s.b)
    alone = s.z * float(np.log(s.n))
    in_b, in_p = b - alone, p - alone
    mutual = in_p - a - in_b
    precision = mutual / -a if a < 0 else 1.0
    recall = mutual / -in_b if in_b < 0 else 1.0
    if precision + recall <= 0:
        return 0.0
    return float(np.clip(2 * precision * recall / (precision + recall), 0.0, 1.0))


def _entropy(share: np.ndarray) -> float:
    """sum p log p, not positive."""
    return float((share * np.log(share)).sum())


def intersections(
    truth: np.ndarray, prediction: np.ndarray, classes: int = 2, ignore: int | None = None
) -> np.ndarray:
    """(classes, 2): pixels in the intersection and in the union of each class of two class maps."""
    truth, prediction = truth.ravel().astype(np.int64), prediction.ravel().astype(np.int64)
    if ignore is not None:
        keep = truth != ignore
        truth, prediction = truth[keep], prediction[keep]
    table = np.bincount(truth * classes + prediction, minlength=classes * classes)
    table = table.reshape(classes, classes)
    both = table.diagonal()
    return np.stack([both, table.sum(axis=0) + table.sum(axis=1) - both], axis=1)


def iou(parts: np.ndarray) -> tuple[float, ...]:
    """Intersection over union by class; nan for a class that is nowhere."""
    return tuple(float(both / union) if union else float("nan") for both, union in parts)


# ---------------------------------------------------------------------- over slices, thresholds


def _summed(counts: np.ndarray, steps: Sequence[float]) -> Score:
    """1 - F of TP, FP, FN (slices, thresholds, 3) summed over the slices, at the best threshold."""
    totals = counts.sum(axis=0)
    scores = [f_score(*total) for total in totals]
    best = int(np.argmax(scores))
    there = counts[:, best]
    each = tuple(1 - f_score(*c) if any(c) else float("nan") for c in there)
    value = 1 - scores[best] if totals[best].any() else float("nan")
    return Score(value, steps[best], each)


def _averaged(scores: np.ndarray, steps: Sequence[float]) -> Score:
    """The mean over slices (slices, thresholds), at the best threshold."""
    known = scores[~np.isnan(scores).any(axis=1)]
    if not len(known):
        return Score(float("nan"), float("nan"), tuple(map(float, scores[:, 0])))
    means = known.mean(axis=0)
    best = int(np.argmax(means))
    return Score(float(means[best]), steps[best], tuple(map(float, scores[:, best])))


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if v == v]
    return sum(known) / len(known) if known else float("nan")
