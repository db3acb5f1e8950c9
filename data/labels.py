"""What the numbers in a label image mean.

    binary      0 background (membrane), any other value foreground (interior): classes 0 and 1
    instances   0 background, every other value one object; classes 0 and 1, and where two objects
                touch a gap of one background pixel is cut, so that a net can learn to part them
    classes     the value is the class: 0, 1, 2, ...; or `values` lists the value of each class

One value may mean "do not learn from this pixel": it is written as 255, which a loss with
`ignore_label: 255` understands, and its weight is 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from .weight_map import class_objects, components, separate

KINDS = ("binary", "instances", "classes")
IGNORED = 255

# of the (slice, value) pairs: how many must be in one piece to call the values objects, or classes
_OBJECTS, _CLASSES = 0.9, 0.5


@dataclass(frozen=True)
class Target:
    """A label image understood: class indices (uint8, IGNORED where unlabelled) and object ids."""

    classes: np.ndarray
    objects: np.ndarray
    ignored: np.ndarray | None


@dataclass(frozen=True)
class LabelRule:
    """kind: one of KINDS; ignore: the label value of unlabelled pixels; values: see "classes"."""

    kind: str = "binary"
    ignore: int | None = None
    values: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(
                f"labels cannot be '{self.kind}'", expected=f"one of {', '.join(KINDS)}"
            )
        if self.values and self.kind != "classes":
            raise DataError(
                "label values of classes are given, but the labels are not classes",
                found=f"labels that are {self.kind}",
            )
        if len(set(self.values)) != len(self.values) or self.ignore in self.values:
            raise DataError(
                "every label value can mean one thing only",
                found=f"class values {', '.join(map(str, self.values))}, ignore {self.ignore}",
            )

    def classes(self, labels: np.ndarray, *, where: str = "") -> np.ndarray:
        """Class indices (height, width) uint8, IGNORED where the label is `ignore`."""
        ignored = self._ignored(labels)
        if self.kind == "classes":
            result = self._listed(labels, ignored, where)
        elif self.kind == "instances":
            objects = labels if ignored is None else np.where(ignored, 0, labels)
            result = separate(objects).astype(np.uint8)
        else:
            result = (labels != 0).astype(np.uint8)
        if ignored is not None:
            result[ignored] = IGNORED
        return result

    def __call__(self, labels: np.ndarray, *, where: str = "") -> Target:
        """The whole truth about one label image (height, width)."""
        labels = whole_numbers(labels, where=where, ignore=self.ignore)
        classes = self.classes(labels, where=where)
        ignored = self._ignored(labels)
        if self.kind == "instances":
            objects = labels if ignored is None else np.where(ignored, 0, labels)
        else:
            objects = class_objects(np.where(classes == IGNORED, 0, classes))
        return Target(classes, objects, ignored)

    def _ignored(self, labels: np.ndarray) -> np.ndarray | None:
        return None if self.ignore is None else labels == self.ignore

    def _listed(self, labels: np.ndarray, ignored: np.ndarray | None, where: str) -> np.ndarray:
        # an ignored pixel borrows a legal value: it is overwritten by the caller
        stand_in = self.values[0] if self.values else 0
        labels = labels if ignored is None else np.where(ignored, stand_in, labels)
        if not self.values:
            greatest = int(labels.max(initial=0))
            if greatest >= IGNORED:
                raise DataError(
                    f"the label image holds the value {greatest}",
                    where=where,
                    expected=f"classes 0 to {IGNORED - 1}",
                    remedy=f"Give --ignore {greatest} if these pixels are unlabelled, --classes "
                    "with the values in use, or --labels-are instances if they are objects",
                )
            return labels.astype(np.uint8)
        order = np.argsort(self.values)
        known = np.asarray(self.values)[order]
        index = np.minimum(np.searchsorted(known, labels), len(known) - 1)
        strange = known[index] != labels
        if strange.any():
            first = tuple(np.argwhere(strange)[0])
            raise DataError(
                f"the label image holds the value {int(labels[first])} at {place(first)}",
                where=where,
                expected=f"one of {', '.join(map(str, self.values))}",
                remedy="Add it to --classes, or give --ignore for unlabelled pixels",
            )
        return order[index].astype(np.uint8)


def place(at: Iterable[int]) -> str:
    """A pixel in words: "y 3, x 5", in a volume "z 1, y 3, x 5"."""
    index = [int(i) for i in at]
    return ", ".join(f"{a} {i}" for a, i in zip("zyx"[-len(index) :], index, strict=True))


def whole_numbers(
    labels: np.ndarray, *, where: str = "", dimensions: int = 2, ignore: int | None = None
) -> np.ndarray:
    """A label image as integers; DataError where it holds fractions, NaN or negative numbers other
    than `ignore`."""
    labels = np.asarray(labels)
    if labels.ndim != dimensions:
        raise DataError("a label image has one value a pixel", where=where, found=labels.shape)
    if labels.dtype == bool:
        return labels.astype(np.uint8)
    if labels.dtype.kind == "f":
        whole = np.isfinite(labels) & (labels == np.rint(labels))
        if not whole.all():
            first = tuple(np.argwhere(~whole)[0])
            raise DataError(
                "the label image holds fractions or NaN",
                where=where,
                expected="whole numbers",
                found=f"{labels[first]} at {place(first)}",
                remedy="Is this a probability map? Threshold it first",
            )
        labels = labels.astype(np.int64)
    if labels.dtype.kind == "i" and labels.size and int(labels.min()) < 0:
        strange = labels[(labels < 0) & (labels != ignore)]
        if strange.size:
            raise DataError(
                "the label image holds negative values", where=where, found=int(strange.min())
            )
    return labels


def detect(slices: Iterable[np.ndarray], ignore: int | None = None) -> tuple[str, str]:
    """(kind, why in words) of label images, judged by their values; DataError where undecided.

    At most one value besides 0: binary.  More: an object is in one piece, a class in many, so the
    (slice, value) pairs in one 4-connected piece are counted; most of them: instances, few of them:
    classes.
    """
    values: set[int] = set()
    whole = pairs = 0
    for labels in slices:
        labels = whole_numbers(labels, dimensions=np.ndim(labels), ignore=ignore)
        here = [int(v) for v in np.unique(labels) if v != 0 and v != ignore]
        values.update(here)
        for value in here:
            pairs += 1
            whole += int(components(labels == value).max()) == 1
    listing = ", ".join(map(str, sorted(values)[:4])) + (", ..." if len(values) > 4 else "")
    nothing = "all are 0" + ("" if ignore is None else f" or {ignore}, which is ignored")
    if len(values) <= 1:
        return "binary", f"the only value besides 0 is {listing}" if values else nothing
    share = whole / pairs
    seen = f"{len(values)} values besides 0 ({listing}), "
    seen += f"{whole} of {pairs} in one piece, as objects are"
    if share >= _OBJECTS and len(values) > 2:
        return "instances", seen
    if share <= _CLASSES and len(values) < IGNORED:
        return "classes", seen
    raise DataError(
        "it cannot be told whether the labels are classes or objects",
        found=seen,
        remedy="Give --labels-are instances, or --labels-are classes",
    )
