"""Counted pixels: of each class in the label slices, and of each class in the tiles written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from .labels import IGNORED

_RARE = 20.0  # a class that weighs so many times the average makes training jump
_FEW = 3  # classes without a pixel that are named one by one


@dataclass(frozen=True)
class ClassShare:
    """A class in the tiles: its pixels by all labelled ones, and its w_c."""

    name: str
    share: float
    balance: float


class Census:
    """Pixels of each class over all label slices, and what looks wrong about them.

    names: of the classes, if the user gave any; least: how many classes there are at least.
    """

    def __init__(self, names: Sequence[str], least: int = 2) -> None:
        self._given, self._least = tuple(names), max(least, 2)
        self._counts = np.zeros(256, np.int64)
        self._uniform: dict[int, list[str]] = {}
        self._unlabelled: list[str] = []
        self._flat: list[str] = []
        self.shapes: list[tuple[int, ...]] = []
        self.names: list[str] = []
        self.counts: np.ndarray = self._counts

    def add(self, classes: np.ndarray, name: str) -> None:
        """Count the class indices (IGNORED where unlabelled) of the slice or volume `name`."""
        counts = np.bincount(classes.ravel(), minlength=256)
        self._counts += counts
        self.shapes.append(classes.shape)
        present = np.flatnonzero(counts[:IGNORED])
        if len(present) == 0:
            self._unlabelled.append(name)
        elif len(present) == 1:
            self._uniform.setdefault(int(present[0]), []).append(name)

    def saw(self, image: np.ndarray, name: str) -> None:
        """Note an image that has nothing to see."""
        if image.size and image.min() == image.max():
            self._flat.append(name)

    def flat(self) -> list[str]:
        """The warning about such images."""
        if not self._flat:
            return []
        return [f"{_some(self._flat)}: every pixel of the image is the same: nothing to learn from"]

    def finish(self, ignore: int | None = None) -> None:
        """Settle names and counts; ignore: the label value of the pixels that are IGNORED."""
        found = self._counts[:IGNORED]
        if not found.any():
            raise DataError("no pixel is labelled", found="the ignored value everywhere")
        if self._counts[IGNORED] and ignore is not None and not found[1:].any():
            raise DataError(
                "nothing but background is left to learn from",
                expected=f"some other value than the background's, and than {ignore}",
                found=f"background, and pixels of {ignore}, which is ignored",
                remedy=f"If {ignore} is what the net shall find, leave --ignore away",
            )
        needed = int(np.flatnonzero(found)[-1]) + 1
        number = max(needed, self._least)
        if self._given and len(self._given) < number:
            raise DataError(
                "there are fewer class names than classes",
                expected=f"{number} names",
                found=f"{len(self._given)} ({', '.join(self._given)})",
            )
        default = ["background", "foreground"] if number == 2 else []
        self.names = list(self._given or default or [f"class {c}" for c in range(number)])
        self.counts = self._counts[: len(self.names)]

    def warnings(self, balance: np.ndarray) -> list[str]:
        said = self.flat()
        for c, where in sorted(self._uniform.items()):
            said.append(f"{_some(where)}: every pixel is {self.names[c]}; is the mask empty?")
        if self._unlabelled:
            said.append(f"{_some(self._unlabelled)}: every pixel is ignored")
        absent = np.flatnonzero(self.counts == 0).tolist()
        if len(absent) > _FEW:
            said.append(
                f"of {len(self.counts)} classes {len(absent)} have no pixel at all: "
                f"{_some([self.names[c] for c in absent])}; where the labels are grey values, list "
                "those in use with --classes"
            )
        for c, n in enumerate(self.counts):
            if n == 0 and len(absent) <= _FEW:
                said.append(f"no pixel at all is {self.names[c]} (class {c})")
            elif balance[c] > _RARE:
                said.append(
                    f"{self.names[c]} is rare and weighs {balance[c]:.0f} times the average; "
                    "such weights make training jump"
                )
        return said


class Tally:
    """Sums over the tiles written."""

    def __init__(self, classes: int) -> None:
        self.counts = np.zeros(classes, np.int64)
        self.pixels, self.ignored, self.weight = 0, 0, 0.0

    def add(self, _data: np.ndarray, label: np.ndarray, weight: np.ndarray) -> None:
        counts = np.bincount(label.ravel(), minlength=256)
        self.counts += counts[: len(self.counts)]
        self.ignored += int(counts[IGNORED])
        self.pixels += label.size
        self.weight += float(weight.sum(dtype=np.float64))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
