"""Which page of which file is compared with which, or which volume.

A side is one file, or many: a folder, or a pattern in quotes ('01_GT/SEG/man_seg*.tif').

    one and one      page by page; equally many
    many and many    by the name (A1.tif and A1.prob.tif, A1_mask.tif), or where these differ by the
                     frame number, the last number in it (man_seg005.tif and mask005.tif)
    many and one     frame number n is page n; of one page: as many and many
    one and many     pages and files in their order, 2 before 10; equally many

What is said of pages holds for volumes, too; a file among many has one page, or is one volume.
man_seg_TTT_ZZZ.tif, an annotated slice of a volume, is page ZZZ of the prediction of frame TTT.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ImageError, counted
from ..imaging import tiff
from ..imaging.axes import volumes
from ._batch import first_names
from ._results import parted

if TYPE_CHECKING:
    from ..imaging.image import Image

_SLICE = re.compile(r"man_seg_(\d+)_(\d+)$")
_WORDS = re.compile(r"([\W_]+[^\W\d_]+)+$")  # that a name ends with

Key = Callable[[Path], int | str | None]


@dataclass(frozen=True)
class Side:
    """A page of a file, or a volume; number None: the only one it has."""

    path: Path
    number: int | None
    volume: bool

    @property
    def what(self) -> str:
        return "volume" if self.volume else "page"

    def __str__(self) -> str:
        return f"{self.path}" + ("" if self.number is None else f", {self.what} {self.number}")


@dataclass(frozen=True)
class Frame:
    """name: a page's or a frame's number, or a file's name."""

    name: int | str
    truth: Side
    guess: Side


class Files:
    """Image files opened when they are needed, the last one kept.

    option: the one that says their axes; notes: what is to be known of each that was opened.
    """

    def __init__(self, axes: str | None = None, option: str = "--axes") -> None:
        self._axes, self._option = axes, option
        self.notes: dict[Path, tuple[str, ...]] = {}
        self._last: tuple[Path, Image] | None = None

    def open(self, path: Path) -> Image:
        if self._last is None or self._last[0] != path:
            self._last = path, tiff.read(path, axes=self._axes)
            self.notes[path] = self._last[1].notes
        return self._last[1]

    def parts(self, path: Path, volume: bool) -> tuple[tuple[int, ...], ...]:
        """The pages of every page, or volume, of a file; ImageError where it has no volumes."""
        image = self.open(path)
        if volume:
            return volumes(image.layout, str(path), self._option)
        return tuple((page,) for page in range(len(image)))

    def pages(self, side: Side) -> list[np.ndarray]:
        """Its pages (channels, height, width); ImageError where there is none of that number, or
        more than the only one."""
        parts = self.parts(side.path, side.volume)
        number = side.number or 0
        if side.number is None and len(parts) > 1:
            raise ImageError(
                f"has {counted(len(parts), side.what)}",
                where=str(side.path),
                expected=f"one {side.what}, as it is one of several files",
                remedy="Compare stacks one by one"
                + ("" if side.volume else "; if it is a volume, say --volumes"),
            )
        if number >= len(parts):
            raise ImageError(
                f"has no {side.what} {number}",
                where=str(side.path),
                expected=f"0 to {len(parts) - 1}",
            )
        return [self.open(side.path).page(i) for i in parts[number]]


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
    one file."""
    if len({frame.truth.path for frame in frames} | {frame.guess.path for frame in frames}) < 3:
        return ""
    ends = [[f.truth, f.guess] for f in dict.fromkeys((frames[0], frames[-1]))]
    return " ... ".join(
        " with ".join(str(replace(side, path=Path(side.path.name))) for side in sides)
        for sides in ends
    )


def match(
    truth: str,
    guess: str,
    count: Callable[[str, Path], int],
    *,
    volume: bool,
    asked: Sequence[int] | None = None,
) -> tuple[list[Frame], str]:
    """The frames to compare, and what is to be said of files that are left out.

    count(side, path): the number of pages, or volumes, of a file of side "truth" or "guess".
    asked: the only frame numbers that need a prediction.
    """
    (ours, ours_many), (theirs, theirs_many) = find(truth), find(guess)
    if ours_many and theirs_many:
        return _files(ours, theirs, guess, volume, asked)
    if ours_many and count("guess", theirs[0]) == 1:
        return _files(ours, theirs, guess, volume, asked, alone=True)
    if ours_many:
        numbers = {p: _number(p, truth) for p in ours}
        one = theirs[0]
        frames = [Frame(n, Side(p, None, volume), Side(one, n, volume)) for p, n in numbers.items()]
        _check_once(frames)
        return frames, ""
    one, n = ours[0], count("truth", ours[0])
    if not theirs_many:
        return _stacks(one, n, theirs[0], count("guess", theirs[0]), volume), ""
    if n == 1:
        return _files(ours, theirs, guess, volume, asked)
    if n != len(theirs):
        what = "volume" if volume else "page"
        raise ImageError(
            f"there is not one prediction for each {what}",
            where=guess,
            expected=f"{n} files as {one} has {what}s",
            found=f"{len(theirs)}",
        )
    return [Frame(i, Side(one, i, volume), Side(p, None, volume)) for i, p in enumerate(theirs)], ""


def _stacks(ours: Path, n: int, theirs: Path, m: int, volume: bool) -> list[Frame]:
    if n != m:
        raise ImageError(
            f"truth and prediction have different numbers of {'volumes' if volume else 'pages'}",
            where=str(theirs),
            expected=f"{n} as in {ours}",
            found=f"{m}",
            remedy="If channels were read as pages, or pages as channels, say what the axes are: "
            "--truth-axes and --axes, for example ZYX",
        )
    return [Frame(i, Side(ours, i, volume), Side(theirs, i, volume)) for i in range(n)]


def _files(
    ours: Sequence[Path],
    theirs: Sequence[Path],
    where: str,
    volume: bool,
    asked: Sequence[int] | None,
    *,
    alone: bool = False,
) -> tuple[list[Frame], str]:
    """As `match`; alone: the prediction is one file, and other files of the truth are left out."""
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
    numbers = {frame_of(path) for path in ours} - {None}
    label: Key = frame_of if len(numbers) == len(ours) else key
    frames: list[Frame] = []
    for path in ours:
        name, guess = key(path), by_key.get(key(path))
        part = _SLICE.match(path.stem)
        if guess is None:
            if alone or (asked is not None and label(path) not in asked):
                continue
            raise ImageError(
                f"there is no prediction for {path.name}",
                where=where,
                expected=f"a file of frame {name}",
                found=first_names(theirs),
                remedy="" if part or label is not frame_of else "Choose frames by number: --slices",
            )
        if part and volume:
            raise ImageError("is a slice and no volume", where=str(path))
        name = f"{name}/{int(part[2])}" if part else label(path)
        assert name is not None
        frames.append(
            Frame(
                name,
                Side(path, None, volume),
                Side(guess, int(part[2]) if part else None, volume),
            )
        )
    _check_once(frames)
    if alone and not frames:
        raise ImageError(
            "no file of the truth is of its frame",
            where=where,
            expected=f"one named as {theirs[0].name}",
            found=first_names(ours),
            remedy="Name the one that is, instead of all",
        )
    if alone and len(frames) < len(ours):
        return frames, _left_out(len(ours) - len(frames), "other file", "no prediction")
    return frames, _left_out(len(set(by_key) - {key(p) for p in ours}), "prediction", "no truth")


def _left_out(n: int, what: str, lacks: str) -> str:
    have, are = ("has", "is") if n == 1 else ("have", "are")
    return f"{counted(n, what)} {have} {lacks} and {are} left out" if n else ""


def _check_once(frames: Sequence[Frame]) -> None:
    """Raise ImageError where two files of the truth are of one frame."""
    files: dict[int | str, Path] = {}
    for frame in frames:
        path = frame.truth.path
        twin = files.setdefault(frame.name, path)
        if twin is not path:
            raise ImageError(
                "two files of the truth are of one frame",
                found=f"{twin} and {path}, both frame {frame.name}",
                remedy=_by_pattern(twin, path),
            )


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


def _key(ours: Sequence[Path], theirs: Sequence[Path]) -> Key:
    """What two files of one frame have in common.

    Of `_name`, `_start` (of several: what tells files apart may follow a dot) and `_name` without
    words that all of a side end with, the first that each file has for itself, and by which all
    files of one side are found; else `frame_of`, if all have a number and it does not repeat where
    names agree.
    """
    sides = ours, theirs
    numbered = all(frame_of(path) is not None for side in sides for path in side)
    if numbered and any(_SLICE.match(path.stem) for path in ours):
        return frame_of
    starts = [_start] if min(len(ours), len(theirs)) > 1 else []
    for way in (_name, *starts, *_without_ends(ours), *_without_ends(theirs)):
        a, b = ({way(path) for path in side} for side in sides)
        if (len(a), len(b)) == (len(ours), len(theirs)) and (a <= b or b <= a):
            return way
    if not numbered:
        return _name
    names = [{_name(path) for path in side} for side in sides]
    own = [len(each) for each in names] == [len(side) for side in sides]
    repeat = any(len({frame_of(path) for path in side}) < len(side) for side in sides)
    return _name if own and repeat and names[0] & names[1] else frame_of


def _name(path: Path) -> str:
    """The name without its extension and the kind that `deploy` puts before it."""
    return parted(path)[0]


def _start(path: Path) -> str:
    """The name up to its first dot."""
    return path.name.split(".")[0]


def _without_ends(paths: Sequence[Path]) -> list[Key]:
    """`_name` without the last word, the last two, ... of all these files (A1_mask, B1_mask)."""
    names = [_name(path) for path in paths]
    words = _WORDS.search(names[0])
    ends = [words[0][i:] for i, c in enumerate(words[0]) if not c.isalpha()] if words else []
    return [
        partial(_without, end)
        for end in reversed(ends)
        if all(name.endswith(end) for name in names)
    ]


def _without(end: str, path: Path) -> str:
    return _name(path).removesuffix(end)


def frame_of(path: Path) -> int | None:
    """The frame number: the last one in a file's `_name`."""
    part = _SLICE.match(path.stem)
    numbers = [part[1]] if part else re.findall(r"\d+", _name(path))
    return int(numbers[-1]) if numbers else None


def spans(names: Sequence[int | str]) -> str:
    """ "0 to 3" of page or frame numbers that follow each other, "3, 5, 7, 9" of others."""
    first, *rest = names
    if rest and isinstance(first, int) and list(names) == [*range(first, first + len(names))]:
        return f"{first} to {names[-1]}"
    if len(names) > 9:
        names = [*names[:8], "...", names[-1]]
    return ", ".join(map(str, names))


def _number(path: Path, where: str) -> int:
    number = frame_of(path)
    if number is None or _SLICE.match(path.stem):
        raise ImageError(
            "it is not clear which page of the prediction belongs to a file of the truth",
            where=where,
            expected="a frame number in every name, as man_seg005.tif",
            found=path.name,
        )
    return number
