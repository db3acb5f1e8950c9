"""Curves over iterations as SVG: axes with round numbers, a grid, a line for each series.

    svg = chart("loss", [Series("training", x, y)], y="cross-entropy")

The y axis is logarithmic where all values are positive and span a decade, and else begins at 0 if
that is near.  Of more than MOST points a line shows the mean of each part, and a band behind it its
least and largest value.  Points carry titles, which browsers show under the pointer.  Colours are
CSS variables of the page (`_page.py`), so a chart is dark where the page is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

MOST = 300  # points of a line
TINY, HUGE = 1e-300, 1e300  # outside, differences and logarithms are no numbers
WIDTH, HEIGHT = 520, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 14, 14, 42
_TARGETS = 120  # points with a title


@dataclass(frozen=True)
class Series:
    """A curve; colour: 0 to 5; style: "line", "faint" or "marks" (points joined by a line)."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    style: str = "line"

    def points(self) -> list[tuple[float, float]]:
        """Those that can be drawn, by x."""
        both = zip(self.x, self.y, strict=True)
        return sorted((x, y) for x, y in both if abs(x) < HUGE and abs(y) < HUGE)


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` on pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        low, high = (math.log(v) if self.log else v for v in (self.low, self.high))
        part = ((math.log(value) if self.log else value) - low) / (high - low)
        return self.start + part * (self.end - self.start)


def extent(series: Iterable[Series]) -> tuple[float, float] | None:
    """The least and the largest x of all points; None without a point."""
    xs = [x for one in series for x, _ in one.points()]
    return (min(xs), max(xs)) if xs else None


def chart(
    title: str,
    series: Sequence[Series],
    *,
    x: str = "iteration",
    y: str = "",
    span: tuple[float, float] | None = None,
) -> str:
    """The SVG; empty where nothing is to be shown.  title: said to who does not see it; span: the
    ends of the x axis, of several charts together, instead of its own points'."""
    drawn = [(s, points) for s in series if (points := s.points())]
    if not drawn:
        return ""
    xs = [p[0] for _, points in drawn for p in points]
    ys = [p[1] for _, points in drawn for p in points]
    across = _across(*(span or (min(xs), max(xs))))
    up = _upward(min(ys), max(ys))
    body = [*_grid(across, up, x, y)]
    for one, points in drawn:
        body += _curve(one, points, across, up)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">{"".join(body)}</svg>'
    )


def _span(low: float, high: float) -> tuple[float, float]:
    """The same, or where that is next to nothing, room around it."""
    if high - low > max(TINY, 1e-12 * max(abs(low), abs(high))):
        return low, high
    room = abs(low) / 2 if abs(low) > TINY else 0.5
    return low - room, high + room


def _across(low: float, high: float) -> Axis:
    """The x axis for values between these; to the next round one where that is near."""
    low, high = _span(low, high)
    step = _step(high - low, 6)
    after = math.ceil(high / step) * step
    high = after if after - high < 0.03 * (high - low) else high
    return Axis(low, high, _LEFT, WIDTH - _RIGHT)


def _upward(low: float, high: float) -> Axis:
    """The y axis for values between these."""
    start, end = HEIGHT - _BOTTOM, _TOP
    if low > TINY and high >= 10 * low:
        return Axis(low / 1.15, high * 1.15, start, end, log=True)
    low, high = _span(low, high)
    if 0 <= low < 0.6 * high:
        low = 0.0
    step = _step(high - low, 5)
    return Axis(
        math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, start, end
    )


def _step(span: float, wanted: int) -> float:
    """1, 2 or 5 times a power of ten, so that about `wanted` of them make the span."""
    power = 10.0 ** math.floor(math.log10(span / wanted))
    most = wanted * (1 + 1e-9)  # of 5 steps of 0.02 in 0.1 none is lost to rounding
    return next((m * power for m in (1, 2, 5) if span / (m * power) <= most), 10 * power)


def ticks(axis: Axis, wanted: int) -> list[float]:
    """Round values on an axis; on a logarithmic one 1, 2 and 5 of a decade where there is room."""
    if not axis.log:
        step = _step(axis.high - axis.low, wanted)
        first = math.ceil(axis.low / step - 1e-9)
        count = math.floor(axis.high / step + 1e-9) - first + 1
        return [(first + i) * step for i in range(count)]
    first, last = math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high))
    every = max(1, round((last - first) / 6))
    parts = (1, 2, 5) if last - first <= 3 else (1,)
    found = [m * 10.0**e for e in range(first, last + 1, every) for m in parts]
    return [v for v in found if axis.low <= v <= axis.high]


def number(value: float) -> str:
    """For an axis or a table: 20,000, 0.05, 1e-6."""
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return f"{value:,.6g}" if abs(value) < 1000 else f"{value:,.0f}"
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def _grid(across: Axis, up: Axis, x: str, y: str) -> Iterator[str]:
    right, bottom = across.end, up.start
    for value in ticks(up, 5):
        at = up.at(value)
        yield f'<path class="grid" d="M{_LEFT} {at:.1f}H{right}"/>'
        yield f'<text class="tick" x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">'
        yield f"{number(value)}</text>"
    for value in ticks(across, 6):
        at = across.at(value)
        yield f'<path class="axis" d="M{at:.1f} {bottom}v4"/>'
        yield f'<text class="tick" x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">'
        yield f"{number(value)}</text>"
    yield f'<path class="axis" d="M{_LEFT} {bottom}H{right}"/>'
    yield f'<text class="label" x="{right}" y="{HEIGHT - 6}" text-anchor="end">{escape(x)}</text>'
    words = f"{y}, log scale" if up.log else y
    middle = (_TOP + bottom) / 2
    yield f'<text class="label" transform="translate(13 {middle:.0f}) rotate(-90)" '
    yield f'text-anchor="middle">{escape(words)}</text>'


def _curve(
    one: Series, points: Sequence[tuple[float, float]], across: Axis, up: Axis
) -> Iterator[str]:
    parts = _parts(points)
    if len(parts) < len(points):
        top = [f"{across.at(x):.1f} {up.at(high):.1f}" for x, _, _, high in parts]
        low = [f"{across.at(x):.1f} {up.at(low):.1f}" for x, _, low, _ in reversed(parts)]
        yield f'<path class="band c{one.colour}" d="M{"L".join(top + low)}Z"/>'
    shown = [(across.at(x), up.at(y), x, y) for x, y, _, _ in parts]
    line = "L".join(f"{px:.1f} {py:.1f}" for px, py, _, _ in shown)
    yield f'<path class="{one.style} c{one.colour}" d="M{line}"/>'
    if one.style == "faint" and len(shown) > 1:
        return
    marked = one.style == "marks" or len(shown) == 1
    every = -(-len(shown) // _TARGETS)
    for px, py, x, y in shown[::every]:
        words = f"{one.name}: {number(y)} at {number(x)}"
        mark = f"dot c{one.colour}" if marked else "target"
        yield f'<circle class="{mark}" cx="{px:.1f}" cy="{py:.1f}" r="{3 if marked else 6}">'
        yield f"<title>{escape(words)}</title></circle>"


def _parts(points: Sequence[tuple[float, float]]) -> list[tuple[float, float, float, float]]:
    """(mean x, mean y, least y, largest y) of at most MOST equal parts."""
    n, count = len(points), min(len(points), MOST)
    found = []
    for i in range(count):
        part = points[i * n // count : (i + 1) * n // count]
        ys = [y for _, y in part]
        found.append((sum(x for x, _ in part) / len(part), sum(ys) / len(ys), min(ys), max(ys)))
    return found


def legend(series: Sequence[Series]) -> str:
    """The names of several series in their colours, HTML, without those that have no points; empty
    for one series."""
    shown = [s for s in series if s.points() and s.name]
    if len(series) < 2 or not shown:
        return ""
    items = (
        f'<span class="key"><svg viewBox="0 0 22 10" aria-hidden="true"><path class="{s.style} '
        f'c{s.colour}" d="M1 5H21"/></svg>{escape(s.name)}</span>'
        for s in shown
    )
    return f'<div class="legend">{"".join(items)}</div>'
