"""Placing buffers of known size and lifetime in one block of memory.

Greedy: one buffer after the other, each in the smallest gap between those that live at the same
time; a few orders are tried and the best is taken.  Not optimal in general (that is NP-hard); for
U-Nets it meets the lower bound, which `tools/plan.py` prints beside it, within a few percent when
training and a tenth when segmenting.

Source: the greedy strategies compared in Pisarchyk and Lee, "Efficient memory management for deep
neural net inference", 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

ALIGNMENT = 64  # bytes: a cache line


@dataclass(frozen=True)
class Lifetime:
    """A buffer of `size` bytes, written first at step `start`, read last at step `end`."""

    name: str
    size: int
    start: int
    end: int


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


def place(buffers: Sequence[Lifetime]) -> Placement:
    """Offsets such that no two buffers that live at the same step overlap."""
    tried = [best_fit(buffers, order) for order in ORDERS.values()]
    return min(tried, key=lambda placement: placement.size)


def best_fit(
    buffers: Sequence[Lifetime], order: Callable[[Lifetime], tuple[int, ...]]
) -> Placement:
    """Buffers in an order, each at the smallest gap it fits in, or else above its neighbours."""
    offsets = [0] * len(buffers)
    placed: list[int] = []
    size = 0
    for i in sorted(range(len(buffers)), key=lambda i: (*order(buffers[i]), i)):
        b = buffers[i]
        neighbours = sorted(
            (offsets[j], offsets[j] + aligned(buffers[j].size))
            for j in placed
            if buffers[j].start <= b.end and b.start <= buffers[j].end
        )
        top, gaps = 0, []
        for begin, end in neighbours:
            if begin - top >= b.size:
                gaps.append((begin - top, top))
            top = max(top, end)
        offsets[i] = min(gaps)[1] if gaps else top
        placed.append(i)
        size = max(size, offsets[i] + aligned(b.size))
    return Placement(tuple(offsets), size)


def lower_bound(buffers: Sequence[Lifetime]) -> int:
    """Bytes alive at the fullest step: no placement needs less."""
    change: dict[int, int] = {}
    for b in buffers:
        change[b.start] = change.get(b.start, 0) + aligned(b.size)
        change[b.end + 1] = change.get(b.end + 1, 0) - aligned(b.size)
    alive = most = 0
    for step in sorted(change):
        alive += change[step]
        most = max(most, alive)
    return most
