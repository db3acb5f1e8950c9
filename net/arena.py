"""Placing buffers of known size and lifetime in one block of memory.

A buffer is a rectangle, bytes by steps, or several that move together: parts of it may be needed at
other steps than the rest, and in between their bytes are free for others.

Greedy: one buffer after the other, each in the smallest gap between those that live at the same
time; a few orders are tried, each again with what stuck out moved to its front, and the best
is taken.  Not optimal in general (that is NP-hard); for
U-Nets it meets the lower bound, which `tools/plan.py` prints beside it, within a few percent when
training and a tenth when segmenting.

Source: the greedy strategies compared in Pisarchyk and Lee, "Efficient memory management for deep
neural net inference", 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import numpy as np

ALIGNMENT = 64  # bytes: a cache line
Bytes = TypeVar("Bytes", int, np.ndarray)
_SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")


class Part(NamedTuple):
    """`size` bytes from `at` on within a buffer, needed from step `start` to step `end`."""

    at: int
    size: int
    start: int
    end: int


@dataclass(frozen=True)
class Lifetime:
    """A buffer of `size` bytes, written first at step `start`, read last at step `end`; `parts` of
    it, which do not overlap, where not all of it is needed throughout."""

    name: str
    size: int
    start: int
    end: int
    parts: tuple[Part, ...] = ()

    @property
    def needed(self) -> tuple[Part, ...]:
        """Its rectangles."""
        return self.parts or (Part(0, self.size, self.start, self.end),)


@dataclass(frozen=True)
class Placement:
    """Offset of each buffer in bytes, and how many bytes the block needs."""

    offsets: tuple[int, ...]
    size: int


def aligned(size: Bytes) -> Bytes:
    return -(-size // ALIGNMENT) * ALIGNMENT


# orders in which buffers may be placed; which is best depends on the net, so all are tried
ORDERS: dict[str, Callable[[Lifetime], tuple[int, ...]]] = {
    "largest first": lambda b: (-b.size, b.start),
    "largest size x time first": lambda b: (-b.size * (b.end - b.start + 1), b.start),
    "earliest first": lambda b: (b.start, -b.size),
    "latest first": lambda b: (-b.end, -b.size),
}

ROUNDS = 8  # what stuck out of the last placement goes first in the next


def place(buffers: Sequence[Lifetime]) -> Placement:
    """Offsets such that no two buffers that live at the same step overlap."""
    least = lower_bound(buffers)
    best = Placement((), 0)
    for key in ORDERS.values():
        keys = [(*key(buffer), i) for i, buffer in enumerate(buffers)]
        order = sorted(range(len(buffers)), key=keys.__getitem__)
        for _ in range(ROUNDS):
            found = best_fit(buffers, order)
            if not best.offsets or found.size < best.size:
                best = found
            if best.size <= least:
                return best
            ends = [o + aligned(b.size) for o, b in zip(found.offsets, buffers, strict=True)]
            out = {i for i, end in enumerate(ends) if end == found.size}
            next_order = [i for i in order if i in out] + [i for i in order if i not in out]
            if next_order == order:
                break  # it would be placed as before
            order = next_order
    return best


def best_fit(buffers: Sequence[Lifetime], order: Sequence[int]) -> Placement:
    """Buffers in an order, each at the smallest gap it fits in, or else above its neighbours."""
    offsets = [0] * len(buffers)
    placed = _Placed(sum(len(b.needed) for b in buffers))
    size = 0
    for i in order:
        b = buffers[i]
        # offsets at which a part of b would meet a part of another: between, exclusive
        low, high = placed.meeting(b)
        # the end of what is taken below each
        lowest = np.maximum.accumulate(np.append(0, aligned(high)))
        gaps = low - lowest[:-1]
        free = np.flatnonzero(gaps >= 0)
        offsets[i] = int(lowest[free[gaps[free].argmin()]] if len(free) else lowest[-1])
        placed.add(b, offsets[i])
        size = max(size, offsets[i] + aligned(b.size))
    return Placement(tuple(offsets), size)


class _Placed:
    """The parts of the buffers that have a place, sorted by where they begin and end.

    A row: the first byte, the one behind the last, the first step and the last.
    """

    def __init__(self, most: int) -> None:
        self._rows = np.empty((4, most), np.int64)
        self._count = 0

    def meeting(self, b: Lifetime) -> tuple[np.ndarray, np.ndarray]:
        """For each part placed and part of b that live at the same time: offsets of b between
        which they would meet; sorted."""
        begin, end, start, last = self._rows[:, : self._count]
        found = []
        for q in b.needed:
            alive = np.flatnonzero((start <= q.end) & (last >= q.start))
            found.append((begin[alive] - aligned(q.at + q.size), aligned(end[alive]) - q.at))
        if len(found) == 1:
            return found[0]
        low, high = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.lexsort((high, low))
        return low[order], high[order]

    def add(self, b: Lifetime, offset: int) -> None:
        for p in b.needed:
            row = (offset + p.at, offset + p.at + p.size, p.start, p.end)
            begin, end = self._rows[:2, : self._count]
            first, behind = (int(np.searchsorted(begin, row[0], side)) for side in _SIDES)
            at = first + int(np.searchsorted(end[first:behind], row[1]))
            self._rows[:, at + 1 : self._count + 1] = self._rows[:, at : self._count].copy()
            self._rows[:, at] = row
            self._count += 1


def alive(buffers: Sequence[Lifetime]) -> dict[int, int]:
    """Bytes alive from a step on, at each step where that changes."""
    change: dict[int, int] = {}
    for b in buffers:
        for p in b.needed:
            bytes_ = aligned(p.at + p.size) - aligned(p.at) if b.parts else aligned(p.size)
            change[p.start] = change.get(p.start, 0) + bytes_
            change[p.end + 1] = change.get(p.end + 1, 0) - bytes_
    now = 0
    return {step: (now := now + change[step]) for step in sorted(change)}


def lower_bound(buffers: Sequence[Lifetime]) -> int:
    """Bytes alive at the fullest step: no placement needs less."""
    return max(alive(buffers).values(), default=0)
