"""How far two partitions of the same pixels agree: by pairs of pixels, and by information.

Only the n pixels that the truth calls interior count.  With p_ij the share of them in object i of
the truth and object j of the prediction, z = sum_i p_i0 those that the prediction calls border
(each counts as an object of its own), a_i = sum_{j>=0} p_ij and b_j = sum_i p_ij (j >= 1):

    A = sum a_i^2    B = sum b_j^2 + z / n    AB = sum_{j>=1} p_ij^2 + z / n
    precision AB / B    recall AB / A         TP = n^2 AB, TP + FP = n^2 B, TP + FN = n^2 A

    A = sum a log a    B = sum b log b - z log n    AB = sum p log p - z log n
    I = AB - A - B     precision I / -A    recall I / -B       (an entropy of 0: ratio 1)

Source: Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142, 2015.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Shares:
    """How the truth's interior pixels are shared out.

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
