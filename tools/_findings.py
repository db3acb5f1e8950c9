"""What is told about a segmentation beside its maps: contours, ImageJ's regions, measurements.

    findings = Findings(image, names, pixel, targets)
    findings.add(pages, labels, objects, probabilities)     # sample by sample
    findings.write(overwrite=False)                         # each file whole or not at all

`targets` says what is wanted: the files "overlay" ("overlay-007" for page 7 of a stack), "rois" and
"objects".
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..files import replacing

if TYPE_CHECKING:
    from ..imaging.image import Image
    from ..imaging.rois import Region

SUFFIXES = {"overlay": "png", "rois": "zip", "objects": "csv"}
OVERLAY = re.compile(r"overlay(-\d+)?")


def named(kinds: Sequence[str], pages: Sequence[int]) -> dict[str, str]:
    """Kinds and the ends of their files' names; of a stack, an overlay for every page."""
    digits = max(3, len(str(max(pages))))
    ends = {}
    for kind in kinds:
        many = kind == "overlay" and len(pages) > 1
        for each in (f"{kind}-{page:0{digits}d}" for page in pages) if many else (kind,):
            ends[each] = f"{each}.{SUFFIXES.get(kind, 'tif')}"
    return ends


def told(targets: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """Kinds and their files for the eye: of overlays of many pages the first and the last."""
    drawn = [kind for kind in targets if OVERLAY.fullmatch(kind)]
    for kind, path in targets.items():
        if kind not in drawn:
            yield kind, str(path)
        elif kind == drawn[0]:
            more = f" ... {targets[drawn[-1]].name}" if len(drawn) > 1 else ""
            yield "overlay", f"{path}{more}"


def listed(targets: Mapping[str, Path]) -> str:
    """The names of files for a table: what they begin with alike is said once."""
    first, *others = (Path(files).name for _, files in told(targets))
    kind, path = next(iter(targets.items()))
    shared = path.name.rpartition(f".{kind}.")[0]
    return ", ".join([first, *(name.removeprefix(shared) for name in others)])


def wants_objects(targets: Mapping[str, Path]) -> bool:
    return "rois" in targets or "objects" in targets


class Findings:
    """Of one image.  names: of the classes; pixel: micrometres along z, y and x, or y and x, None
    where unknown."""

    def __init__(
        self,
        image: Image,
        names: Sequence[str],
        pixel: Sequence[float] | None,
        targets: Mapping[str, Path],
    ) -> None:
        self.image, self.names, self.pixel, self.targets = image, names, pixel, targets
        self.pictures: list[bytes] = []
        self.regions: list[Region] = []
        self.rows: list[list[str]] = []
        self.axes = 2

    @property
    def wanted(self) -> bool:
        """Whether any of it is."""
        return wants_objects(self.targets) or any(map(OVERLAY.fullmatch, self.targets))

    def add(
        self,
        pages: Sequence[int],
        labels: np.ndarray,
        objects: np.ndarray | None = None,
        probabilities: np.ndarray | None = None,
    ) -> None:
        """One sample, of a page or of the pages of a volume.

        objects: their numbers, whose edges are then the contours; without them those of classes
        are.  probabilities: of each class, or of class 1 alone, (classes, *size).
        """
        from ..imaging.instances import classes_of
        from ..imaging.measure import measure, row

        self.axes = labels.ndim
        classes = labels if objects is None else classes_of(objects, labels)
        for k, page in enumerate(pages):
            at = k if self.axes == 3 else ...
            numbers = None if objects is None else objects[at]
            if any(map(OVERLAY.fullmatch, self.targets)):
                self.pictures.append(self._overlay(page, classes[at], numbers))
            if "rois" in self.targets and numbers is not None:
                self.regions += self._regions(page, classes[at], numbers)
        if "objects" in self.targets and objects is not None:
            sure = None if probabilities is None else _of_class(probabilities, classes)
            found = measure(objects, classes, sure)
            self.rows += [row(one, pages[0], self.names, self.pixel) for one in found]

    def _overlay(self, page: int, classes: np.ndarray, objects: np.ndarray | None) -> bytes:
        from ..imaging import picture

        return picture.png(
            picture.overlay(
                self.image.page(page),
                classes,
                objects=objects,
                class_names=self.names,
                pixel_size=self.image.pixel_size,
                unit=self.image.unit,
            )
        )

    def _regions(self, page: int, classes: np.ndarray, objects: np.ndarray) -> list[Region]:
        from ..imaging.outlines import outlines
        from ..imaging.picture import colour
        from ..imaging.rois import Region

        place, front = self._place(page), f"p{page}-" if len(self.image) > 1 else ""
        numbers, first = np.unique(objects, return_index=True)
        kinds = dict(zip(numbers.tolist(), classes.flat[first].tolist(), strict=True))
        found = []
        for number, rings in outlines(objects).items():
            kind = kinds[number]
            name = self.names[kind] if kind < len(self.names) else f"class{kind}"
            name = re.sub(r"[/\\]", "_", f"{front}{name}-{number:04d}")  # it becomes a file's
            found.append(Region(name, rings, colour(kind), **place))
        return found

    def _place(self, page: int) -> dict[str, int]:
        """Where ImageJ looks for a page: a slice of a stack, or z and t of a hyperstack."""
        layout = self.image.layout
        if len(self.image) == 1:
            return {}
        axes = [(layout.axes[a].lower(), layout.shape[a]) for a in layout.page_axes]
        letters = {letter for letter, _ in axes}
        if not letters <= {"z", "t"} or (len(letters) == 1 and "C" not in layout.axes):
            return {"slice": page}
        place = {}
        for letter, length in reversed(axes):
            page, place[letter] = divmod(page, length)
        return place

    def write(self, *, overwrite: bool = False) -> None:
        from ..imaging import rois
        from ..imaging.measure import header

        drawn = [path for kind, path in self.targets.items() if OVERLAY.fullmatch(kind)]
        for target, content in zip(drawn, self.pictures, strict=True):
            with replacing(target, overwrite=overwrite) as temporary:
                temporary.write_bytes(content)
        if "rois" in self.targets:
            rois.write_rois(self.targets["rois"], self.regions, overwrite=overwrite)
        if "objects" in self.targets:
            with (
                replacing(self.targets["objects"], overwrite=overwrite) as temporary,
                open(temporary, "w", newline="", encoding="utf-8") as file,
            ):
                table = csv.writer(file, lineterminator="\n")
                table.writerow(header(self.axes))
                table.writerows(self.rows)


def _of_class(probabilities: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The probability of every pixel's class; one channel is that of class 1."""
    if len(probabilities) == 1:
        return probabilities[0]
    at = np.minimum(classes, len(probabilities) - 1).astype(np.intp)
    return np.take_along_axis(probabilities, at[None], axis=0)[0]
