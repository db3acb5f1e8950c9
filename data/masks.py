"""What the numbers in an annotation mask mean, where pixels may be left open.

    ignore      0, the plugin's number: nobody says what this pixel is
    background  1, the plugin's number
    others      instances   each value one object of the only class
                classes     background + 1 is class 1, + 2 is class 2, ...; or `values` lists them
                binary      all of class 1

An object of a class is what an instance mask says, else a connected component (4 neighbours in an
image, 6 in a volume).  Nothing is cut between touching objects yet: see `plugin_weights`.
Source: TrainingSample.java of lmb-freiburg/Unet-Segmentation, commit 870e5036.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from .labels import IGNORED, KINDS, Target, place, whole_numbers
from .weight_map import class_objects


@dataclass(frozen=True)
class MaskRule:
    """kind: one of KINDS; values: the mask's value of background, class 1, class 2, ..."""

    kind: str = "instances"
    background: int = 1
    ignore: int | None = 0
    values: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(f"masks cannot be '{self.kind}'", expected=f"one of {', '.join(KINDS)}")
        if self.values and self.kind != "classes":
            raise DataError(
                "label values of classes are given, but the labels are not classes",
                found=f"labels that are {self.kind}",
            )
        meant = [
            *(self.values or [self.background]),
            *([] if self.ignore is None else [self.ignore]),
        ]
        if len(set(meant)) != len(meant):
            raise DataError(
                "every label value can mean one thing only",
                found=f"background {meant[0]}, ignore {self.ignore}, classes {self.values}",
            )

    def __call__(
        self,
        labels: np.ndarray,
        *,
        objects: np.ndarray | None = None,
        ignored: np.ndarray | None = None,
        where: str = "",
    ) -> Target:
        """Classes (0 background, IGNORED where open) and objects of a mask of any dimension.

        objects: ids of the objects, where the mask holds classes only; ignored: another mask, not 0
        where pixels are open whatever `labels` says.  DataError where they do not fit together.
        """
        axes = np.ndim(labels)
        labels = whole_numbers(labels, where=where, dimensions=axes, ignore=self.ignore)
        open_ = np.zeros(labels.shape, bool) if self.ignore is None else labels == self.ignore
        if ignored is not None:
            open_ |= _same(ignored, labels, "the ignored regions", where) != 0
        classes = self._classes(labels, open_, where)
        if objects is not None:
            ids = _same(objects, labels, "the instance mask", where)
            ids = whole_numbers(ids, where=where, dimensions=axes)
            lost = (classes > 0) & (ids == 0)
            if lost.any():
                first = place(np.argwhere(lost)[0])
                raise DataError(
                    "a pixel belongs to a class, but to no object of the instance mask",
                    where=where,
                    found=f"{int(lost.sum())} such pixels, the first at {first}",
                    remedy="Give every object of every class a number in the instance mask",
                )
        elif self.kind == "instances":
            ids = labels.astype(np.int64) + 1  # 0 may be an object, too
        else:
            ids = class_objects(classes)
        ids = np.where(classes > 0, ids, 0)
        classes[open_] = IGNORED
        return Target(classes, ids, open_)

    def _classes(self, labels: np.ndarray, open_: np.ndarray, where: str) -> np.ndarray:
        """uint8; 0 where open."""
        if self.kind != "classes":
            return ((labels != self.background) & ~open_).astype(np.uint8)
        if self.values:
            index = np.full(labels.shape, -1)
            for c, value in enumerate(self.values):
                index[labels == value] = c
        else:
            index = labels.astype(np.int64) - self.background
        index[open_] = 0
        strange = (index < 0) | (index >= IGNORED)
        if strange.any():
            first = tuple(np.argwhere(strange)[0])
            most = self.background + IGNORED - 1
            known = ", ".join(map(str, self.values)) or f"{self.background} (background) to {most}"
            raise DataError(
                f"the label image holds the value {int(labels[first])} at {place(first)}",
                where=where,
                expected=known + ("" if self.ignore is None else f", {self.ignore} to ignore"),
                remedy="Say what the values mean: --background, --ignore, --classes",
            )
        return index.astype(np.uint8)


def _same(other: np.ndarray, labels: np.ndarray, what: str, where: str) -> np.ndarray:
    if np.shape(other) != labels.shape:
        raise DataError(
            f"{what} and the label image have different sizes",
            where=where,
            expected=labels.shape,
            found=np.shape(other),
        )
    return np.asarray(other)
