"""What the names of images and labels say about who belongs to whom.

A name is cut into words and numbers ("man_seg007.tif": man, seg, 7).  Compared is, of each file,

    all of its name                                    cell1.tif, cell1.png
    its path without what all files of its side share  t007.tif, man_seg007.tif; a.tif, mask_a.tif
    its first, or its last number                      007_38.tif, seg7.tif
    of the second, the words alone                     left_38.tif, left_7.tif

the first of these that is different for all files of a side, and the same for at least half of them
on both sides.  So names that follow unlike schemes are not compared at all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Keys = list[tuple[str, ...]]


@dataclass(frozen=True)
class Names:
    """What the names say of pairs in the order of the files.

    agree: the two names of every pair do; differ: the first pair of which they do not, though
    others do, or their numbers are like those of others; sure: whether that can hardly be meant so;
    partner: the label that the differing pair's image has by its name; shifted: all numbers differ
    by the same, as where one side is counted from 1.
    """

    agree: bool = False
    differ: int | None = None
    sure: bool = False
    partner: Path | None = None
    shifted: bool = False


def compare(images: Sequence[Path], labels: Sequence[Path]) -> Names:
    """Equally many images and labels, as they were paired."""
    if len(images) == 1:
        return _one(images[0], labels[0])
    some = False
    for ours, theirs in _keys(images, labels):
        same = [a == b for a, b in zip(ours, theirs, strict=True)]
        if all(same):
            return Names(agree=True)
        first = same.index(False)
        if 2 * len(set(ours) & set(theirs)) >= len(ours):
            if ours != _full(images) and _shift(ours, theirs):
                return Names(differ=first, shifted=True)
            partner = dict(zip(theirs, labels, strict=True)).get(ours[first])
            return Names(differ=first, sure=True, partner=partner)
        if any(same) and not some:
            some, doubtful = True, Names(differ=first)
    return doubtful if some else Names()


def alone(images: Sequence[Path], labels: Sequence[Path]) -> list[Path]:
    """The files whose names have no partner, where most others have one; else none."""
    few = min(len(images), len(labels))
    for ours, theirs in _keys(images, labels):
        both = set(ours) & set(theirs)
        if both and 2 * len(both) >= few:
            pairs = (*zip(ours, images, strict=True), *zip(theirs, labels, strict=True))
            return [path for key, path in pairs if key not in both]
    return []


def _keys(images: Sequence[Path], labels: Sequence[Path]) -> list[tuple[Keys, Keys]]:
    """What may be compared of the two sides, the surest first."""
    ways: tuple[Callable[[Sequence[Path]], Keys], ...] = (
        _full,
        _varying,
        lambda files: [_number(f, 0) for f in files],
        lambda files: [_number(f, -1) for f in files],
        _words,
    )
    found = [(way(images), way(labels)) for way in ways]
    return [sides for sides in found if all(_tell(keys) for keys in sides)]


def _tell(keys: Keys) -> bool:
    """Whether each file has a key of its own."""
    return all(keys) and len(set(keys)) == len(keys)


def _tokens(text: str) -> list[str]:
    """Words in small letters, and numbers without leading zeros."""
    found = re.findall(r"\d+|[^\W\d_]+", text.lower())
    return [t.lstrip("0") or "0" if t.isdecimal() else t for t in found]


def _full(files: Sequence[Path]) -> Keys:
    return [tuple(_tokens(f.stem)) for f in files]


def _varying(files: Sequence[Path]) -> Keys:
    """Of each path, the words and numbers that not all of the files have."""
    counted = [Counter(_tokens("/".join((*f.parent.parts, f.stem)))) for f in files]
    common = counted[0].copy()
    for each in counted[1:]:
        common &= each
    if len(files) == 1:  # its neighbours are not known: nothing can be left out
        common = Counter()
    return [tuple(sorted((each - common).elements())) for each in counted]


def _words(files: Sequence[Path]) -> Keys:
    return [tuple(t for t in key if not t.isdecimal()) for key in _varying(files)]


def _number(file: Path, at: int) -> tuple[str, ...]:
    numbers = [t for t in _tokens(file.stem) if t.isdecimal()]
    return (numbers[at],) if numbers else ()


def _shift(ours: Keys, theirs: Keys) -> bool:
    """Whether all are one number each, beside words that all share, and differ by the same."""
    numbers: list[list[int]] = []
    for keys in (ours, theirs):
        alike = {tuple(t for t in key if not t.isdecimal()) for key in keys}
        found = [[int(t) for t in key if t.isdecimal()] for key in keys]
        if len(alike) > 1 or any(len(each) != 1 for each in found):
            return False
        numbers.append([each[0] for each in found])
    return len({b - a for a, b in zip(*numbers, strict=True)}) == 1


def _one(image: Path, label: Path) -> Names:
    """A single pair: doubtful where the names have the same words and other numbers."""
    ours, theirs = _tokens(image.stem), _tokens(label.stem)
    if ours == theirs:
        return Names(agree=True)
    words = [[t for t in tokens if not t.isdecimal()] for tokens in (ours, theirs)]
    return Names(differ=0) if words[0] == words[1] and words[0] else Names()
