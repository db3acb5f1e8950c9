"""Measures of objects: SEG of the Cell Tracking Challenge, and F1 of detection and segmentation.

    SEG   mean over the objects R of the truth of  |R n S| / |R u S|  where an object S of the
          prediction covers more than half of R, and 0 where none does
    F1    2 TP / (objects + predictions)

TP is the largest number of pairs of one object and one prediction each, of one class, that match:
in segmentation where |R n S| / |R u S| >= min_iou (0.5), in detection where the centres of mass lie
at most `distance` pixels apart.  (The Hungarian method finds so many where only matching pairs are
let in.  Freiburg's layer runs it over distances, and then counts as TP every object that was paired
at all, beyond the threshold too.)

Objects are pooled over slices.  With no objects and no predictions there is no value: nan.

Source: Maska et al., Bioinformatics 30(11), 2014; Falk et al., Nature Methods 16, 2019, and the F1
layer of its caffe_unet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .score import Score, ratio
from .views import Pair, View


@dataclass(frozen=True)
class Overlaps:
    """Two sets of objects: their sizes in pixels, and both[k] pixels in common of i[k] and j[k].

    i, j count objects from 0.
    """

    truth: np.ndarray
    guess: np.ndarray
    i: np.ndarray
    j: np.ndarray
    both: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        """Of each pair that overlaps."""
        union = self.truth[self.i] + self.guess[self.j] - self.both
        share: np.ndarray = self.both / union
        return share


def overlaps(truth: np.ndarray, guess: np.ndarray) -> Overlaps:
    """Of two maps of object numbers 1, 2, ... without gaps, 0 outside."""
    i, j = truth.ravel().astype(np.int64), guess.ravel().astype(np.int64)
    sizes_i, sizes_j = np.bincount(i, minlength=1)[1:], np.bincount(j, minlength=1)[1:]
    inside = (i > 0) & (j > 0)
    width = len(sizes_j) + 1
    pairs, both = np.unique(i[inside] * width + j[inside], return_counts=True)
    return Overlaps(sizes_i, sizes_j, pairs // width - 1, pairs % width - 1, both)


# ---------------------------------------------------------------------- SEG


def seg_part(pair: Pair) -> np.ndarray:
    """The sum of the Jaccard indices, the objects that are matched, all objects."""
    found = overlaps(pair.truth.objects, pair.guess.objects)
    matched = 2 * found.both > found.truth[found.i]  # at most one prediction covers the half
    return np.array([found.iou[matched].sum(), np.count_nonzero(matched), len(found.truth)])


def seg_score(parts: Sequence[np.ndarray]) -> Score:
    total, matched, objects = np.sum(parts, axis=0)
    return Score(
        ratio(total, objects),
        tuple(ratio(part[0], part[2]) for part in parts),
        counts={"matched": int(matched), "objects": int(objects)},
    )


# ---------------------------------------------------------------------- F1

Counts = Mapping[int, np.ndarray]  # by class: TP, predictions, objects


def segmentation_part(pair: Pair, min_iou: float = 0.5) -> Counts:
    """Objects and predictions match where their IoU is at least min_iou (above 0)."""
    found = overlaps(pair.truth.objects, pair.guess.objects)
    near = found.iou >= min_iou
    return _by_class(pair, found.i[near], found.j[near])


def detection_part(pair: Pair, distance: float = 3.0) -> Counts:
    """Objects and predictions match where their centres are at most `distance` pixels apart."""
    from scipy.spatial import KDTree

    truth, guess = centres(pair.truth), centres(pair.guess)
    i, j = np.zeros(0, np.int64), np.zeros(0, np.int64)
    if len(truth) and len(guess):
        near = KDTree(truth).query_ball_tree(KDTree(guess), distance)
        i = np.repeat(np.arange(len(truth)), [len(each) for each in near])
        j = np.array([k for each in near for k in each], np.int64)
    return _by_class(pair, i, j)


def centres(view: View) -> np.ndarray:
    """(objects, axes): the centre of mass of each object, in pixels."""
    objects = view.objects
    at = np.nonzero(objects)
    numbers = objects[at] - 1
    sizes = np.bincount(numbers)
    return np.stack([np.bincount(numbers, weights=along) / sizes for along in at], axis=1)


def _by_class(pair: Pair, i: np.ndarray, j: np.ndarray) -> Counts:
    """TP, predictions and objects of each class above 0, from the pairs that would match."""
    truth, guess = pair.truth.class_of, pair.guess.class_of
    alike = truth[i] == guess[j]
    i, j = i[alike], j[alike]
    counts = {}
    for c in np.union1d(truth, guess).tolist():
        here = truth[i] == c
        counts[c] = np.array(
            [
                most_pairs(i[here], j[here]),
                np.count_nonzero(guess == c),
                np.count_nonzero(truth == c),
            ]
        )
    return counts


def most_pairs(i: np.ndarray, j: np.ndarray) -> int:
    """The largest number of the pairs (i, j) of which no two share an i or a j."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if not len(i):
        return 0
    graph = coo_array((np.ones(len(i), bool), (i, j))).tocsr()
    return int(np.count_nonzero(maximum_bipartite_matching(graph) >= 0))


def f1_score(parts: Sequence[Counts], names: Sequence[str] = ()) -> Score:
    """F1 of all classes together, and of each; names: of the classes 0, 1, ..."""
    found = sorted({c for part in parts for c in part})
    nothing = np.zeros(3, int)
    by_class = {
        names[c] if c < len(names) else str(c): _f1([part.get(c, nothing) for part in parts])
        for c in found
    }
    pooled = [sum(part.values(), nothing) for part in parts]
    whole = _f1(pooled)
    return Score(whole.value, whole.slices, counts=whole.counts, classes=by_class)


def _f1(parts: Sequence[np.ndarray]) -> Score:
    values = [ratio(2 * tp, predictions + objects) for tp, predictions, objects in parts]
    tp, predictions, objects = (int(n) for n in np.sum(parts, axis=0))
    counts = {"true positives": tp, "predictions": predictions, "objects": objects}
    return Score(ratio(2 * tp, predictions + objects), tuple(values), counts=counts)
