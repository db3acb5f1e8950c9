"""What a drawing is made of, before it is SVG: items with known bounds.

Lengths are pixels, y grows downward.  The width of words is estimated from Helvetica's widths, and
a little generously, as nobody knows the font that will draw them; so what does not overlap here
does not overlap on the screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

Point = tuple[float, float]

_NARROW, _WIDE = frozenset("fijlrtI.,:;'|!()[] -²³"), frozenset("mwMW@%")


class Bounds(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Bounds, apart: float = 0) -> bool:
        """Whether less than `apart` pixels are between them."""
        return (
            self.left < other.right + apart
            and other.left < self.right + apart
            and self.top < other.bottom + apart
            and other.top < self.bottom + apart
        )


@dataclass(frozen=True)
class Box:
    """A rectangle; style: its CSS class; title: what is shown when the mouse rests on it."""

    x: float
    y: float
    width: float
    height: float
    style: str
    title: str = ""

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.x, self.y, self.x + self.width, self.y + self.height)

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@dataclass(frozen=True)
class Text:
    """A line of words.  (x, y): the start, middle or end of its base line; turned: it reads from
    bottom to top, and (x, y) is the same point of the turned line."""

    x: float
    y: float
    words: str
    size: float = 11
    anchor: str = "start"
    style: str = "ink"
    turned: bool = False

    @property
    def bounds(self) -> Bounds:
        width = text_width(self.words, self.size)
        before = {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        up, down = 0.8 * self.size, 0.22 * self.size
        if self.turned:
            low = self.y + before
            return Bounds(self.x - up, low - width, self.x + down, low)
        left = self.x - before
        return Bounds(left, self.y - up, left + width, self.y + down)


@dataclass(frozen=True)
class Arrow:
    """A line through points; head: whether it ends in an arrowhead."""

    points: tuple[Point, ...]
    style: str
    title: str = ""
    head: bool = True

    @property
    def bounds(self) -> Bounds:
        xs, ys = zip(*self.points, strict=True)
        return Bounds(min(xs), min(ys), max(xs), max(ys))


Item = Box | Text | Arrow


@dataclass(frozen=True)
class Scene:
    """title, description: for those who do not see it; items: drawn in this order."""

    title: str
    description: str
    items: tuple[Item, ...] = field(default=())

    @property
    def bounds(self) -> Bounds:
        return union(self.items)

    def moved(self, dx: float, dy: float) -> Scene:
        return replace(self, items=tuple(moved(item, dx, dy) for item in self.items))


def text_width(words: str, size: float) -> float:
    """How wide a line of words is at most, in pixels."""
    share = sum(0.34 if c in _NARROW else 0.92 if c in _WIDE else 0.62 for c in words)
    return share * size


def union(items: Iterable[Item]) -> Bounds:
    lefts, tops, rights, bottoms = zip(*(item.bounds for item in items), strict=True)
    return Bounds(min(lefts), min(tops), max(rights), max(bottoms))


def moved(item: Item, dx: float, dy: float) -> Item:
    if isinstance(item, Arrow):
        return replace(item, points=tuple((x + dx, y + dy) for x, y in item.points))
    return replace(item, x=item.x + dx, y=item.y + dy)


def settled(block: Sequence[Item], others: Sequence[Item], apart: float = 14) -> list[Item]:
    """The block, moved down as little as is needed to stay clear of the others."""
    taken, block = [item.bounds for item in others], list(block)
    while True:
        here = union(block)
        blocking = [b for b in taken if here.overlaps(b, apart)]
        if not blocking:
            return block
        down = min(b.bottom for b in blocking) + apart - here.top
        block = [moved(item, 0, max(down, 1)) for item in block]
