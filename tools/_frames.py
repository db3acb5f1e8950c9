"""Which page of which file is compared with which, or which volume.

A side is one file, or many: a folder, or a pattern in quotes ('01_GT/SEG/man_seg*.tif').

    one and one      page by page; equally many
    many and many    by the name: A1.tif, a01.prob.tif; or by the name without the fewest last words
                     that all files of a side have: A1_mask.tif, A1_pred.tif; or by the frame number
    many and one     frame number n is page n; of one page: as many and many
    one and many     pages and files in their order, 2 before 10; equally many

A way of names is taken where each file has a name of its own and any two agree.  The frame number
is the last one in a name.  It counts where the names of a side differ in nothing else (man_seg005,
mask005), and those of both sides do not say that they are of different things: before it they have
as many numbers and single letters, but others (A2, B2; exp1_05, exp2_05).

What is said of pages holds for volumes, too; a file among many has one page, or is one volume.
man_seg_TTT_ZZZ.tif, an annotated slice of a volume, is page ZZZ of the prediction of frame TTT.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
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
_LAST = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)  # a name with its last number
_WORDS = re.compile(r"(?<=[^\W_])([\W_]+[^\W\d_]+)+$")  # that a name ends with
_MARKS = re.compile(r"\d+|(?<![^\W\d_])[^\W\d_](?![^\W\d_])")  # numbers and single letters

NUMBER = "by frame number"
_ALIKE = "Name both sides alike, as A1_mask.tif and A1_pred.tif, or man_seg005.tif and mask005.tif"


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


def pairs(frames: Sequence[Frame], how: str = "") -> str:
    """Truth and prediction of the first and the last frame, for the eye; nothing where each is of
    one file.  how: as `match` has it; NUMBER is said, for it may be a chance."""
    paths = {frame.truth.path for frame in frames} | {frame.guess.path for frame in frames}
    if len(paths) < 3 and how != NUMBER:
        return ""
    ends = [[f.truth, f.guess] for f in dict.fromkeys((frames[0], frames[-1]))]
    return (f"{how}: " if how == NUMBER else "") + " ... ".join(
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
) -> tuple[list[Frame], str, str]:
    """The frames to compare, how files were paired, as `_paired` has it, and what is to be said of
    files that are left out.

    count(side, path): the number of pages, or volumes, of a file of side "truth" or "guess".
    asked: the only frame numbers that need a prediction.
    """
    (ours, ours_many), (theirs, theirs_many) = find(truth), find(guess)
    if ours_many and theirs_many:
        return _files(ours, theirs, guess, volume, asked)
    if ours_many and count("guess", theirs[0]) == 1:
        return _files(ours, theirs, guess, volume, asked, alone=True)
    if ours_many:
        return _of_stack(ours, theirs[0], truth, volume), "", ""
    one, n = ours[0], count("truth", ours[0])
    if not theirs_many:
        return _stacks(one, n, theirs[0], count("guess", theirs[0]), volume), "", ""
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
    order = [Frame(i, Side(one, i, volume), Side(p, None, volume)) for i, p in enumerate(theirs)]
    return order, "", ""


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


def _of_stack(ours: Sequence[Path], one: Path, where: str, volume: bool) -> list[Frame]:
    """Each file of the truth with the page of its frame number."""
    numbers = [(path, frame_of(path) or 0) for path in ours]
    if not _numbered(ours) or any(_SLICE.match(path.stem) for path in ours):
        raise ImageError(
            "it is not clear which page of the prediction belongs to a file of the truth",
            where=where,
            expected="names that differ in a frame number alone, as man_seg005.tif",
            found=first_names(ours),
        )
    _by_frame("files of the truth", [(str(n), path) for path, n in numbers])
    return [Frame(n, Side(path, None, volume), Side(one, n, volume)) for path, n in numbers]


def _files(
    ours: Sequence[Path],
    theirs: Sequence[Path],
    where: str,
    volume: bool,
    asked: Sequence[int] | None,
    *,
    alone: bool = False,
) -> tuple[list[Frame], str, str]:
    """As `match`; alone: the prediction is one file, and other files of the truth are left out."""
    names, others, how = _paired(ours, theirs)
    guesses = _by_frame("predictions", zip(map(_plain, others), theirs, strict=True))
    numbers = [frame_of(path) for path in ours]
    own = None not in numbers and len(set(numbers)) == len(numbers)
    frames: list[Frame] = []
    for path, name, number in zip(ours, names, numbers, strict=True):
        guess, part = guesses.get(_plain(name)), _SLICE.match(path.stem)
        if guess is None:
            if alone or (asked is not None and not (own and number in asked)):
                continue
            by_number = "" if part or not own else "Choose frames by number: --slices"
            raise ImageError(
                f"there is no prediction for {path.name}",
                where=where,
                expected=f"a file of frame {name}",
                found=first_names(theirs),
                remedy=by_number if how else _ALIKE,
            )
        if part and volume:
            raise ImageError("is a slice and no volume", where=str(path))
        page = int(part[2]) if part else None
        label = f"{name}/{page}" if part else number if own and number is not None else name
        frames.append(Frame(label, Side(path, None, volume), Side(guess, page, volume)))
    _by_frame("files of the truth", [(_plain(str(f.name)), f.truth.path) for f in frames])
    if alone and not frames:
        raise ImageError(
            "no file of the truth is of its frame",
            where=where,
            expected=f"one named as {theirs[0].name}",
            found=first_names(ours),
            remedy="Name the one that is, instead of all",
        )
    if alone and len(frames) < len(ours):
        return frames, how, _left_out(len(ours) - len(frames), "other file", "no prediction")
    more = len(guesses.keys() - set(map(_plain, names)))
    return frames, how, _left_out(more, "prediction", "no truth")


def _left_out(n: int, what: str, lacks: str) -> str:
    have, are = ("has", "is") if n == 1 else ("have", "are")
    return f"{counted(n, what)} {have} {lacks} and {are} left out" if n else ""


def _by_frame(what: str, files: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """Files by the names of their frames; ImageError where two are of one."""
    found: dict[str, Path] = {}
    for frame, path in files:
        twin = found.setdefault(frame, path)
        if twin is not path:
            raise ImageError(
                f"two {what} are of one frame",
                found=f"{twin} and {path}, both frame {frame}",
                remedy=_by_pattern(twin, path),
            )
    return found


def _by_pattern(one: Path, other: Path) -> str:
    """What to do about two files of one frame: patterns that part them, where their kinds do."""
    kinds = [f"'{p.parent / ('*' + p.name.removeprefix(parted(p)[0]))}'" for p in (one, other)]
    told = "" if kinds[0] == kinds[1] else f": {' or '.join(kinds)}"
    return f"Name those you mean by a pattern{told or ' in quotes'}"


def _paired(
    ours: Sequence[Path], theirs: Sequence[Path]
) -> tuple[Sequence[str], Sequence[str], str]:
    """The name of the frame that each file is of, and how that was found: "by name", NUMBER, or ""
    where no way of the module's docstring holds, and names are as they are."""
    if not any(_SLICE.match(path.stem) for path in ours):
        for end, other in product(_ends(ours), _ends(theirs)):
            names, others = _without(end, ours), _without(other, theirs)
            a, b = set(map(_plain, names)), set(map(_plain, others))
            if len(a) == len(ours) and len(b) == len(theirs) and a & b:
                return names, others, "by name"
    if _numbered(ours, theirs):
        return [str(frame_of(p)) for p in ours], [str(frame_of(p)) for p in theirs], NUMBER
    return _without("", ours), _without("", theirs), ""


def _plain(name: str) -> str:
    """In small letters, and whole numbers without leading zeros; accents as macOS writes them are
    those of other systems."""
    name = unicodedata.normalize("NFC", name.lower())
    return re.sub(r"(?<!\d)(?<!\d\.)0+(?=\d)", "", name)


def _ends(paths: Sequence[Path]) -> list[str]:
    """Nothing, and the last word, the last two, ... of the names of all these files."""
    names = [name.lower() for name in _without("", paths)]
    words = _WORDS.search(names[0])
    ends = [words[0][i:] for i, c in enumerate(words[0]) if not c.isalpha()] if words else []
    return ["", *(end for end in reversed(ends) if all(name.endswith(end) for name in names))]


def _without(end: str, paths: Sequence[Path]) -> list[str]:
    names = [parted(path)[0] for path in paths]
    return [name[: len(name) - len(end)] for name in names]


def _numbered(*sides: Sequence[Path]) -> bool:
    """Whether the frame number tells which files belong together (see the module's docstring)."""
    marks = []
    for side in sides:
        around = {cut and (cut[0], cut[2]) for cut in map(_cut, side)}
        alike = around.pop()
        if around or not alike:
            return False
        marks.append(_MARKS.findall(alike[0]))
    return all(each == marks[0] or len(each) != len(marks[0]) for each in marks)


def _cut(path: Path) -> tuple[str, int, str] | None:
    """What is before the frame number in a name, that, and what is after; None without a number."""
    part = _SLICE.match(path.stem)
    found = _LAST.fullmatch(f"man_seg{part[1]}" if part else parted(path)[0])
    return (_plain(found[1]), int(found[2]), _plain(found[3])) if found else None


def frame_of(path: Path) -> int | None:
    """The frame number: the last one in a file's name."""
    cut = _cut(path)
    return cut[1] if cut else None


def spans(names: Sequence[int | str]) -> str:
    """ "0 to 3" of page or frame numbers that follow each other, "3, 5, 7, 9" of others."""
    first, *rest = names
    if rest and isinstance(first, int) and list(names) == [*range(first, first + len(names))]:
        return f"{first} to {names[-1]}"
    if len(names) > 9:
        names = [*names[:8], "...", names[-1]]
    return ", ".join(map(str, names))
