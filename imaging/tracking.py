"""Objects followed through a time series: each takes over the number of the one before it.

    IoU(a, b) = |a and b| / |a or b|          a in one frame, b in the next, both greater than 0

Every object chooses the object of the next frame with the greatest IoU; of those that chose it, an
object takes over the number of the one with the greatest IoU.  So the mapping is one to one; an
object that was chosen by none gets a new number, and one whose choice prefers another ends.  Ties
go to the smaller number.  At a division the daughter that overlaps more goes on, the other is new.

border: what lies wholly in a zone of so many pixels along the edges is followed, but not shown.  An
object that comes back into view begins a new track, whose parent is the one it had before.

Source: trackCells2 of the authors' release of 2015, whose rules these are.  The result is that of
the Cell Tracking Challenge: maps of track numbers and `res_track.txt`, a line for each track with
its number, first and last frame (from 0) and parent (0: none).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..errors import ImageError
from .instances import visible


@dataclass(frozen=True)
class Track:
    """One object through time: its number, first and last frame, and the track it continues."""

    id: int
    begin: int
    end: int
    parent: int = 0

    def __str__(self) -> str:
        return f"{self.id} {self.begin} {self.end} {self.parent}"


def match(before: np.ndarray, after: np.ndarray) -> dict[int, int]:
    """{object of `after`: object of `before` whose number it takes over}; 0 is background."""
    both = (before > 0) & (after > 0)
    pairs, shared = np.unique(
        np.stack([before[both], after[both]]).astype(np.int64), axis=1, return_counts=True
    )
    union = _sizes(before, pairs[0]) + _sizes(after, pairs[1]) - shared
    iou = shared / union
    chosen: set[int] = set()
    taken: dict[int, int] = {}
    # greatest first: an object's first pair is its choice, the first to choose an object has it
    for i in np.lexsort((pairs[1], pairs[0], -iou)):
        b, a = int(pairs[0, i]), int(pairs[1, i])
        if b not in chosen:
            chosen.add(b)
            taken.setdefault(a, b)
    return taken


def _sizes(objects: np.ndarray, ids: np.ndarray) -> np.ndarray:
    known, sizes = np.unique(objects, return_counts=True)
    return sizes[np.searchsorted(known, ids)]


class Tracker:
    """Follows objects frame by frame; `tracks` is what is known so far."""

    def __init__(self, border: int = 0) -> None:
        self.border, self._frame, self._last = border, 0, 0
        self._before: np.ndarray | None = None
        self._tracks: dict[int, Track] = {}

    @property
    def tracks(self) -> list[Track]:
        """All tracks, by number."""
        return [self._tracks[i] for i in sorted(self._tracks)]

    def follow(self, objects: np.ndarray, where: str = "") -> np.ndarray:
        """Track numbers (int64) of the next frame's objects (any integers from 0, 0 background).

        Raises ImageError where the frame has another size than the one before.
        """
        if self._before is None:
            self._before = np.zeros(objects.shape, np.int64)
        if objects.shape != self._before.shape:
            raise ImageError(
                "the frames have different sizes",
                where=where,
                expected=self._before.shape,
                found=objects.shape,
            )
        taken = match(self._before, objects)
        ids, index = np.unique(objects, return_inverse=True)
        index = index.reshape(objects.shape)
        numbers = np.zeros(len(ids), np.int64)
        shown = np.isin(ids, visible(objects, self.border, where)) & (ids > 0)
        for k, i in enumerate(ids.tolist()):
            if i:
                numbers[k] = taken[i] if i in taken else self._new()
                if shown[k]:
                    numbers[k] = self._extend(int(numbers[k]))
        self._before = numbers[index]
        self._frame += 1
        return np.where(shown, numbers, 0)[index]

    def _new(self) -> int:
        self._last += 1
        return self._last

    def _extend(self, number: int) -> int:
        """Note that a track is seen in this frame; the number it has from now on."""
        t, track = self._frame, self._tracks.get(number)
        if track is None:
            self._tracks[number] = Track(number, t, t)
        elif track.end == t - 1:
            self._tracks[number] = replace(track, end=t)
        else:  # out of view in between
            parent, number = number, self._new()
            self._tracks[number] = Track(number, t, t, parent)
        return number


def track(frames: Iterable[np.ndarray], *, border: int = 0) -> tuple[list[np.ndarray], list[Track]]:
    """Maps of track numbers (int64) of object maps (any integers from 0), and the tracks."""
    tracker = Tracker(border)
    return [tracker.follow(frame, f"frame {t}") for t, frame in enumerate(frames)], tracker.tracks


def lines(tracks: Iterable[Track]) -> Iterator[str]:
    """The lines of res_track.txt."""
    for one in tracks:
        yield f"{one}\n"
