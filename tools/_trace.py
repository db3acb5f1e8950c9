"""Curves made of characters: a braille line of any height, a row of bars.

A Trace remembers a curve of any length in bounded memory: where it is full, neighbours become their
mean, so it always shows the whole training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

MOST = 512  # means that a Trace holds, even
BARS = "▁▂▃▄▅▆▇█"
# the bit of each of the 4 x 2 dots of a braille character, from the top
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


class Trace:
    """values: means of `each` additions, in order; low, high: of all that was added."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.each = 1
        self.last = math.nan
        self._sum, self._count = 0.0, 0

    def add(self, value: float) -> None:
        if not math.isfinite(value):
            return
        self.last = value
        self._sum, self._count = self._sum + value, self._count + 1
        if self._count < self.each:
            return
        self.values.append(self._sum / self._count)
        self._sum, self._count = 0.0, 0
        if len(self.values) == MOST:
            pairs = zip(self.values[::2], self.values[1::2], strict=True)
            self.values = [(a + b) / 2 for a, b in pairs]
            self.each *= 2


def resampled(values: Sequence[float], count: int) -> list[float]:
    """Means of `count` equal parts, or all values where they are fewer."""
    n = len(values)
    if n <= count:
        return list(values)
    edges = [i * n // count for i in range(count + 1)]
    return [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]


def bars(values: Sequence[float], width: int) -> str:
    """A character for each of the means; the lowest is the shortest bar."""
    shown = resampled(values, width)
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    step = (high - low) / (len(BARS) - 1) or 1.0
    return "".join(BARS[round((v - low) / step)] for v in shown)


def logarithmic(values: Sequence[float]) -> bool:
    """Whether the values are better shown by their logarithms: positive, over half a decade."""
    return bool(values) and min(values) > 0 and max(values) > 3 * min(values)


def curve(values: Sequence[float], width: int, height: int) -> list[str]:
    """Lines of `width` characters, the curve from end to end."""
    columns = 2 * width
    shown = resampled(values, columns)
    cells = [[0] * width for _ in range(height)]
    if shown:
        if logarithmic(shown):
            shown = [math.log(v) for v in shown]
        low, high = min(shown), max(shown)
        scale = (4 * height - 1) / (high - low) if high > low else 0.0
        before = round((high - shown[0]) * scale)
        for x in range(columns):
            place = x * (len(shown) - 1) / (columns - 1)
            i, part = int(place), place % 1
            value = shown[i] + (part * (shown[i + 1] - shown[i]) if part else 0.0)
            y = round((high - value) * scale)
            # as far as the dot before, so that a steep line holds together
            for dot in {y, *range(y, before), *range(before + 1, y)}:
                cells[dot // 4][x // 2] |= DOTS[dot % 4][x % 2]
            before = y
    return ["".join(chr(0x2800 + cell) for cell in row) for row in cells]
