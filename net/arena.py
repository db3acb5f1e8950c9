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

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

ALIGNMENT = 64  # bytes: a cache line


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


def aligned(size: int) -> int:
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
    # parts that have a place, sorted: first byte, the next free one, first and last step
    placed: list[tuple[int, int, int, int]] = []
    size = 0
    for i in order:
        needed = buffers[i].needed
        # offsets at which a part would meet a part of another: between, exclusive
        taken: list[tuple[int, int]] = []
        for q in needed:
            own = aligned(q.at + q.size)
            taken += [
                (begin - own, free - q.at)
                for begin, free, start, last in placed
                if start <= q.end and q.start <= last
            ]
        if len(needed) > 1:
            taken.sort()
        lowest, gaps = 0, []
        for low, high in taken:
            if low >= lowest:
                gaps.append((low - lowest, lowest))
            if high > lowest:
                lowest = aligned(high)
        offset = offsets[i] = min(gaps)[1] if gaps else lowest
        for q in needed:
            insort(placed, (offset + q.at, aligned(offset + q.at + q.size), q.start, q.end))
        size = max(size, offset + aligned(buffers[i].size))
    return Placement(tuple(offsets), size)


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
