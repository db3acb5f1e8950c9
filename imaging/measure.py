"""Measurements of objects: size, place, and how sure the net is.

size          pixels n; n times the size of a pixel in um^2, in volumes um^3
centre        mean of the pixels' places; the middle of the first pixel is 0
box           the first pixel along each axis, and how many from there hold the object
probability   mean over the object's pixels of the probability of its class
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Measured:
    """One object: its number, class index, and measures; tuples along the axes of the map."""

    number: int
    kind: int
    size: int
    centre: tuple[float, ...]
    start: tuple[int, ...]
    extent: tuple[int, ...]
    probability: float | None = None


def measure(
    objects: np.ndarray, classes: np.ndarray, probability: np.ndarray | None = None
) -> list[Measured]:
    """Every object of a map of numbers, 0 background, in the order of the numbers.

    classes: class index of each pixel, the same within an object; probability: of the pixel's
    class.  All have the same shape, (height, width) or (depth, height, width).
    """
    from scipy import ndimage

    at = np.nonzero(objects)
    numbers, first, index, sizes = np.unique(
        objects[at], return_index=True, return_inverse=True, return_counts=True
    )
    kinds = classes[at][first]
    centres = [np.bincount(index, weights=along) / sizes for along in at]
    sure = None
    if probability is not None:
        sure = np.bincount(index, weights=probability[at]) / sizes
    dense = np.zeros(objects.shape, np.int32)  # numbers may be far apart
    dense[at] = index + 1
    boxes = ndimage.find_objects(dense)
    return [
        Measured(
            number,
            int(kinds[i]),
            int(sizes[i]),
            tuple(float(centre[i]) for centre in centres),
            tuple(s.start for s in boxes[i]),
            tuple(s.stop - s.start for s in boxes[i]),
            None if sure is None else float(sure[i]),
        )
        for i, number in enumerate(numbers.tolist())
    ]


def header(axes: int) -> list[str]:
    """The names of the columns of `row`."""
    letters = "zyx"[-axes:]
    size = ["area_px", "area_um2"] if axes == 2 else ["volume_px", "volume_um3"]
    lengths = {"z": "box_depth", "y": "box_height", "x": "box_width"}
    return [
        *("page", "id", "class", "class_name"),
        *size,
        *(f"centroid_{a}" for a in letters),
        *(f"box_{a}" for a in letters),
        *(lengths[a] for a in letters),
        "mean_probability",
    ]


def _cell(name: str) -> str:
    """A name as a spreadsheet takes it: one that it would compute gets an apostrophe in front."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name


def row(
    one: Measured, page: int, names: Sequence[str] = (), pixel: Sequence[float] | None = None
) -> list[str]:
    """One object as words; page: its (first) page; pixel: micrometres along each axis.  What is not
    known is empty; a name that a spreadsheet would take for a formula begins with an apostrophe."""
    return [
        *(str(page), str(one.number), str(one.kind)),
        _cell(names[one.kind]) if one.kind < len(names) else "",
        str(one.size),
        "" if pixel is None else f"{one.size * float(np.prod(pixel)):.6g}",
        *(f"{c:.3f}" for c in one.centre),
        *map(str, one.start),
        *map(str, one.extent),
        "" if one.probability is None else f"{one.probability:.4f}",
    ]
