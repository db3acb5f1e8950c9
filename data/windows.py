"""Window files: boxes in images, told apart into objects and background by their overlap.

    # 0                                     image index, counted from 0
    images/000001.jpg                       path
    3  333  500                             channels, height, width
    2                                       how many windows follow
    15  0.71  10 20 300 310                 class, overlap, x1 y1 x2 y2 (both ends inside)
    15  0.04  1 1 60 60

A window with overlap >= fg_threshold shows its class, one below bg_threshold is background (class
0), one between is not used.  `fit` says where a window's pixels go in the square a net sees.

DataError.  Source: Caffe's src/caffe/layers/window_data_layer.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError
from .image_list import read_text

_FORMAT = (
    "`# index`, a path, channels height width, a count, and windows: class overlap x1 y1 x2 y2"
)


@dataclass(frozen=True)
class WindowFile:
    """paths: of the images; objects, background: (n, 6) rows image, class, x1, y1, x2, y2."""

    paths: tuple[str, ...]
    objects: np.ndarray
    background: np.ndarray


def read_windows(path: str, fg_threshold: float, bg_threshold: float) -> WindowFile:
    """Read and judge every window."""
    words = read_text(path, _FORMAT).split()
    if not words:
        raise DataError("is empty", where=path, expected=_FORMAT)
    paths: list[str] = []
    objects: list[np.ndarray] = []
    background: list[np.ndarray] = []
    for name, rows in _images(words, path):
        overlap = rows[:, 1].astype(np.float32)
        boxes = np.column_stack([np.full(len(rows), len(paths)), rows[:, [0, 2, 3, 4, 5]]])
        boxes = boxes.astype(np.int64)
        front = overlap >= np.float32(fg_threshold)
        if (boxes[front, 1] < 1).any():
            raise DataError(
                "has a window that shows an object, but of no class",
                where=f"{path}, image {len(paths)} ({name})",
                expected="a class from 1 on where the overlap is fg_threshold or more",
                found=int(boxes[front, 1].min()),
            )
        back = boxes[~front & (overlap < np.float32(bg_threshold))]
        back[:, 1] = 0
        objects.append(boxes[front])
        background.append(back)
        paths.append(name)
    found = WindowFile(tuple(paths), np.concatenate(objects), np.concatenate(background))
    for kind, windows in (("objects", found.objects), ("background", found.background)):
        if not len(windows):
            raise DataError(
                f"has no window of {kind}",
                where=path,
                remedy="Look at fg_threshold and bg_threshold, and at the overlaps in the file",
            )
    return found


def _images(words: list[str], path: str) -> Iterator[tuple[str, np.ndarray]]:
    """(image path, rows of six numbers) of every image."""
    at, index = 0, 0
    while at < len(words):
        where = f"{path}, image {index}"
        try:
            head = words[at : at + 7]
            if head[0] != "#" or int(head[1]) != index:
                raise DataError("is not where it should be", where=where, found=" ".join(head[:2]))
            channels, count = int(head[3]), int(head[6])
            if count < 0:
                raise ValueError
            rows = np.array(words[at + 7 : at + 7 + 6 * count], np.float64).reshape(count, 6)
            whole = rows[:, [0, 2, 3, 4, 5]]
            if not np.array_equal(whole, np.rint(whole)) or np.isnan(rows).any():
                raise ValueError
        except (ValueError, IndexError):
            raise DataError("cannot be understood", where=where, expected=_FORMAT) from None
        if channels != 3:
            raise DataError("is not in colour", where=where, expected="3 channels", found=channels)
        if (rows[:, 4] < rows[:, 2]).any() or (rows[:, 5] < rows[:, 3]).any():
            raise DataError("has a window that ends before it begins", where=where)
        yield head[2], rows
        at, index = at + 7 + 6 * count, index + 1


@dataclass(frozen=True)
class Fit:
    """A part of an image (x1, y1, x2, y2, ends inside), the height and width it is resized to, and
    where that lies in the square (top, left)."""

    part: tuple[int, int, int, int]
    size: tuple[int, int]
    at: tuple[int, int]


def fit(
    box: tuple[int, int, int, int],
    image: tuple[int, int],
    crop: int,
    *,
    context_pad: int,
    square: bool,
    mirrored: bool,
    dtype: Any,
    where: str,
) -> Fit:
    """Where the pixels of a window go in a crop x crop square.

    image: its height and width; context_pad: pixels of surroundings that the square shows on each
    side; square: widen the shorter side first; dtype: of the arithmetic, which Caffe does in the
    net's type.  What lies outside the image stays empty.
    """
    x1, y1, x2, y2 = box
    height, width = image
    size, at = (crop, crop), (0, 0)
    if context_pad > 0 or square:
        t, half = np.dtype(dtype).type, np.dtype(dtype).type(0.5)
        context = t(crop) / t(crop - 2 * context_pad)
        half_height, half_width = t(y2 - y1 + 1) * half, t(x2 - x1 + 1) * half
        x, y = t(x1) + half_width, t(y1) + half_height
        if square:
            half_height = half_width = max(half_height, half_width)
        x1, x2 = _round(x - half_width * context), _round(x + half_width * context)
        y1, y2 = _round(y - half_height * context), _round(y + half_height * context)
        scale_x, scale_y = t(crop) / t(x2 - x1 + 1), t(crop) / t(y2 - y1 + 1)
        left, top = max(0, -x1), max(0, -y1)
        right, bottom = max(0, x2 - width + 1), max(0, y2 - height + 1)
        x1, y1, x2, y2 = x1 + left, y1 + top, x2 - right, y2 - bottom
        rows, columns = _round(t(y2 - y1 + 1) * scale_y), _round(t(x2 - x1 + 1) * scale_x)
        at = _round(t(top) * scale_y), _round(t(right if mirrored else left) * scale_x)
        # rounding may have made more pixels than there is room for
        size = min(rows, crop - at[0]), min(columns, crop - at[1])
    if not (0 <= x1 <= x2 < width and 0 <= y1 <= y2 < height) or min(size) < 1:
        raise DataError(
            "has a window that does not lie in it",
            where=where,
            expected=f"x below {width}, y below {height}",
            found=f"x {box[0]} to {box[2]}, y {box[1]} to {box[3]}",
        )
    return Fit((x1, y1, x2, y2), size, at)


def _round(value: Any) -> int:
    """To the nearest whole number, halves away from zero."""
    return int(math.copysign(math.floor(abs(float(value)) + 0.5), value))
