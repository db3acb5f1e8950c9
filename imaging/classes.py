"""Intersection over union, class by class.

    IoU of class c = pixels that both call c / pixels that either calls c

Pixels are summed over the slices; a class that is nowhere has none (nan).  "mean IoU" is the mean
over the classes that are somewhere, background included.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .score import Score, mean, ratio
from .views import Pair

MOST = 256  # classes


def iou_part(pair: Pair) -> np.ndarray:
    """(MOST, 2): pixels in the intersection and in the union of each class."""
    truth, guess = pair.truth.classes, pair.guess.classes
    if pair.ignored is not None:
        truth, guess = truth[~pair.ignored], guess[~pair.ignored]
    truth, guess = truth.ravel(), guess.ravel()
    both = np.bincount(truth[truth == guess], minlength=MOST)
    either = np.bincount(truth, minlength=MOST) + np.bincount(guess, minlength=MOST)
    return np.stack([both, either - both], axis=1)[:MOST]


def iou(parts: np.ndarray) -> tuple[float, ...]:
    """Intersection over union by class; nan for a class that is nowhere."""
    return tuple(ratio(both, union) for both, union in parts)


def iou_score(parts: Sequence[np.ndarray], names: Sequence[str] = ()) -> Score:
    """The mean over classes, and every class that is somewhere; names: of the classes 0, 1, ..."""
    counts = np.array(parts)
    total = counts.sum(axis=0)
    value, slices = iou(total), [iou(part) for part in counts]
    classes = {
        names[c] if c < len(names) else str(c): Score(
            value[c],
            tuple(each[c] for each in slices),
            counts={"intersection": int(total[c, 0]), "union": int(total[c, 1])},
        )
        for c in np.flatnonzero(total[:, 1]).tolist()
    }
    return Score(mean(value), tuple(mean(each) for each in slices), classes=classes)
