"""Which page of which file is compared with which.

A side is one file, or many: a folder, or a pattern in quotes ('01_GT/SEG/man_seg*.tif').

    one and one      page by page; equally many
    many and many    by the name up to its first dot (A1.tif and A1.prob.tif), or where these differ
                     by the frame number, the last number in it (man_seg005.tif and mask005.tif)
    many and one     frame number n is page n
    one and many     pages and files in their order, 2 before 10; equally many

man_seg_TTT_ZZZ.tif, an annotated slice of a volume, is page ZZZ of the prediction of frame TTT.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ImageError
from ..imaging import tiff

if TYPE_CHECKING:
    from ..imaging.image import Image

_SLICE = re.compile(r"man_seg_(\d+)_(\d+)$")


@dataclass(frozen=True)
class Side:
    """A page of a file; page None: all pages, a volume."""

    path: Path
    page: int | None

    def __str__(self) -> str:
        return f"{self.path}" if self.page is None else f"{self.path}, page {self.page}"


@dataclass(frozen=True)
class Frame:
    """name: a page's or a frame's number, or a file's name."""

    name: int | str
    truth: Side
    guess: Side


class Files:
    """Image files opened when they are needed, the last one kept."""

    def __init__(self, axes: str | None = None) -> None:
        self._axes = axes
        self._last: tuple[Path, Image] | None = None

    def open(self, path: Path) -> Image:
        if self._last is None or self._last[0] != path:
            self._last = path, tiff.read(path, axes=self._axes)
        return self._last[1]

    def pages(self, side: Side) -> list[np.ndarray]:
        """Its pages (channels, height, width); ImageError where there is none of that number."""
        image = self.open(side.path)
        if side.page is None:
            return [image.page(i) for i in range(len(image))]
        if side.page >= len(image):
            raise ImageError(
                f"has no page {side.page}",
                where=str(side.path),
                expected=f"0 to {len(image) - 1}",
            )
        return [image.page(side.page)]


def find(text: str) -> tuple[list[Path], bool]:
    """The files that the user named, and whether it was as many; ImageError where there is none."""
    path = Path(text)
    try:
        found = tiff.find([path])
    except ImageError:
        if not (path / "SEG").is_dir():
            raise
        found = tiff.find([path / "SEG"])
    return found, found != [path]


def pairs(frames: Sequence[Frame]) -> str:
    """Truth and prediction of the first and the last frame, for the eye; nothing where each is of
    one file, page by page."""
    ours, theirs = {f.truth.path for f in frames}, {f.guess.path for f in frames}
    if len(ours) == len(theirs) == 1:
        return ""

    def words(side: Side, files: set[Path]) -> str:
        told = side.page is not None and (side.page > 0 or len(files) == 1)
        return side.path.name + (f", page {side.page}" if told else "")

    ends = dict.fromkeys((frames[0], frames[-1]))
    return " ... ".join(f"{words(f.truth, ours)} with {words(f.guess, theirs)}" for f in ends)


def match(
    truth: str, guess: str, pages: Callable[[str, Path], int], *, volumes: bool
) -> tuple[list[Frame], int]:
    """The frames to compare, and how many predictions have no truth.

    pages(side, path): the number of pages of a file of side "truth" or "guess".
    """
    (ours, ours_many), (theirs, theirs_many) = find(truth), find(guess)
    if not ours_many and not theirs_many:
        return _stacks(ours[0], theirs[0], pages, volumes), 0
    if not ours_many and not volumes and pages("truth", ours[0]) > 1:
        n = pages("truth", ours[0])
        if n != len(theirs):
            raise ImageError(
                "there is not one prediction for each page",
                where=guess,
                expected=f"{n} files as {ours[0]} has pages",
                found=f"{len(theirs)}",
            )
        return [Frame(i, Side(ours[0], i), Side(p, 0)) for i, p in enumerate(theirs)], 0
    if not theirs_many:
        if volumes:
            raise ImageError("volumes are compared file by file", where=guess, expected="a folder")
        numbers = {p: _number(p, truth) for p in ours}
        return [Frame(n, Side(p, 0), Side(theirs[0], n)) for p, n in numbers.items()], 0
    return _files(ours, theirs, guess, volumes)


def _stacks(
    ours: Path, theirs: Path, pages: Callable[[str, Path], int], volumes: bool
) -> list[Frame]:
    n, m = pages("truth", ours), pages("guess", theirs)
    if n != m:
        raise ImageError(
            "truth and prediction have different numbers of pages",
            where=str(theirs),
            expected=f"{n} as in {ours}",
            found=f"{m}",
            remedy="If channels were read as pages, or pages as channels, see --axes",
        )
    if volumes:
        return [Frame(0, Side(ours, None), Side(theirs, None))]
    return [Frame(i, Side(ours, i), Side(theirs, i)) for i in range(n)]


def _files(
    ours: Sequence[Path], theirs: Sequence[Path], where: str, volumes: bool
) -> tuple[list[Frame], int]:
    key = _key(ours, theirs)
    by_key: dict[int | str | None, Path] = {}
    for path in theirs:
        other = by_key.setdefault(key(path), path)
        if other is not path:
            raise ImageError(
                "two predictions are of one frame",
                where=where,
                found=f"{other} and {path}",
                remedy=_by_pattern(other, path),
            )
    numbers = {_frame_of(path) for path in ours} - {None}
    label: Callable[[Path], int | str | None] = _frame_of if len(numbers) == len(ours) else key
    frames: list[Frame] = []
    for path in ours:
        name, guess = key(path), by_key.get(key(path))
        if guess is None:
            raise ImageError(
                f"there is no prediction for {path.name}",
                where=where,
                expected=f"a file of frame {name}",
                found=", ".join(p.name for p in theirs[:3]) + (", ..." if len(theirs) > 3 else ""),
            )
        whole = None if volumes else 0
        part = _SLICE.match(path.stem)
        if part and volumes:
            raise ImageError("is a slice and no volume", where=str(path))
        name = f"{name}/{int(part[2])}" if part else label(path)
        assert name is not None
        twin = next((frame.truth.path for frame in frames if frame.name == name), None)
        if twin:
            raise ImageError(
                "two files of the truth are of one frame",
                found=f"{twin} and {path}, both frame {name}",
                remedy=_by_pattern(twin, path),
            )
        frames.append(Frame(name, Side(path, whole), Side(guess, int(part[2]) if part else whole)))
    return frames, len(set(by_key) - {key(p) for p in ours})


def _by_pattern(one: Path, other: Path) -> str:
    """What to do about two files of one frame: patterns that part them, where names do."""
    ends = [p.name.removeprefix(_name(p)) for p in (one, other)]
    starts = ["", ""]
    if ends[0] == ends[1]:
        starts = [re.split(r"\d", p.name)[0] for p in (one, other)]
    named = [
        f"'{p.parent / f'{start}*{end}'}'"
        for p, start, end in zip((one, other), starts, ends, strict=True)
    ]
    told = "" if named[0] == named[1] else f": {' or '.join(named)}"
    return f"Name those you mean by a pattern{told or ' in quotes'}"


def _key(ours: Sequence[Path], theirs: Sequence[Path]) -> Callable[[Path], int | str | None]:
    """What two files of one frame have in common: `_name`, if each file has its own and either all
    of the truth's are found or frame numbers repeat; else `_frame_of`, if all have a number."""
    sides = ours, theirs
    if any(_frame_of(path) is None for side in sides for path in side):
        return _name
    a, b = ({_name(path) for path in side} for side in sides)
    own = (len(a), len(b)) == (len(ours), len(theirs))
    repeat = any(len({_frame_of(path) for path in side}) < len(side) for side in sides)
    slices = any(_SLICE.match(path.stem) for path in ours)
    return _name if own and not slices and (a <= b or (repeat and a & b)) else _frame_of


def _name(path: Path) -> str:
    return path.name.split(".")[0]


def _frame_of(path: Path) -> int | None:
    part = _SLICE.match(path.stem)
    numbers = [part[1]] if part else re.findall(r"\d+", _name(path))
    return int(numbers[-1]) if numbers else None


def _number(path: Path, where: str) -> int:
    number = _frame_of(path)
    if number is None or _SLICE.match(path.stem):
        raise ImageError(
            "it is not clear which page of the prediction belongs to a file of the truth",
            where=where,
            expected="a frame number in every name, as man_seg005.tif",
            found=path.name,
        )
    return number
