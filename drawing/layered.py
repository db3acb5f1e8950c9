"""A layered layout of any acyclic graph: rows from top to bottom, every edge downward.

    rows        each node one row below the lowest it reads (longest path); what reads nothing
                stands right above its first reader
    order       within rows by barycentres, sweeping down and up; the order with the fewest
                crossings is kept (Sugiyama, Tagawa and Toda 1981)
    x           neighbours in a chain, and all of a long edge, share one x, as long as no two such
                links cross (Brandes and Koepf 2001); each of these blocks then moves towards the
                mean of what it is connected with, as far as those beside it leave room

An edge over several rows passes each in a gap of its own, so it crosses no box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import pairwise
from math import inf

SIDE, BETWEEN, LANE = 26.0, 44.0, 14.0  # between boxes of a row, between rows, for a passing edge
SWEEPS = 12

Edge = tuple[int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """centres: x of every node's middle and y of its top; routes: the corners of every edge."""

    centres: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]


def lay_out(sizes: Sequence[tuple[float, float]], edges: Sequence[Edge]) -> Layout:
    """Places for nodes of these sizes; edges (a, b) with a < b."""
    if not sizes:
        return Layout((), ())
    rows = rows_of(len(sizes), edges)
    net = _Net(sizes, edges, rows)
    net.untangle()
    return net.layout()


def rows_of(count: int, edges: Sequence[Edge]) -> list[int]:
    """The row of every node."""
    rows, read = [0] * count, set()
    for a, b in sorted(edges, key=lambda e: e[1]):
        rows[b] = max(rows[b], rows[a] + 1)
        read.add(b)
    for i in range(count):
        readers = [rows[b] for a, b in edges if a == i]
        if i not in read and readers:
            rows[i] = min(readers) - 1
    return rows


def crossings(order: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> int:
    """How many pairs of edges between neighbouring rows cross."""
    total = 0
    for upper, lower in pairwise(order):
        place = {node: i for i, node in enumerate(lower)}
        ends = [place[t] for node in upper for t in sorted(below[node], key=place.__getitem__)]
        total += sum(a > b for i, a in enumerate(ends) for b in ends[i + 1 :])
    return total


class _Net:
    """The nodes, and one stand-in for each row that an edge passes."""

    def __init__(
        self, sizes: Sequence[tuple[float, float]], edges: Sequence[Edge], rows: Sequence[int]
    ) -> None:
        self.count, self.edges = len(sizes), edges
        self.sizes, self.rows = list(sizes), list(rows)
        self.chains: list[list[int]] = []
        for a, b in edges:
            passing = []
            for row in range(rows[a] + 1, rows[b]):
                passing.append(len(self.rows))
                self.rows.append(row)
                self.sizes.append((0.0, 0.0))
            self.chains.append([a, *passing, b])
        self.above: list[list[int]] = [[] for _ in self.rows]
        self.below: list[list[int]] = [[] for _ in self.rows]
        for chain in self.chains:
            for a, b in pairwise(chain):
                self.below[a].append(b)
                self.above[b].append(a)
        self.order: list[list[int]] = [[] for _ in range(max(self.rows) + 1)]
        for node, row in enumerate(self.rows):
            self.order[row].append(node)

    def untangle(self) -> None:
        """Reorder the rows so that few edges cross."""
        best, fewest = self.order, crossings(self.order, self.below)
        order = [list(row) for row in self.order]
        for sweep in range(SWEEPS):
            if not fewest:
                break
            down = sweep % 2 == 0
            for k in range(1, len(order)) if down else range(len(order) - 2, -1, -1):
                near = order[k - 1] if down else order[k + 1]
                links = self.above if down else self.below
                place = {node: i for i, node in enumerate(near)}
                here = {node: i for i, node in enumerate(order[k])}

                def centre(
                    node: int,
                    place: dict[int, int] = place,
                    here: dict[int, int] = here,
                    links: list[list[int]] = links,
                    scale: float = len(near) / len(order[k]),
                ) -> float:
                    known = [place[n] for n in links[node]]
                    return sum(known) / len(known) if known else here[node] * scale

                order[k].sort(key=centre)
            found = crossings(order, self.below)
            if found < fewest:
                best, fewest = [list(row) for row in order], found
        self.order = best

    def links(self) -> list[Edge]:
        """The pairs of neighbours that stand straight above each other: parts of long edges first,
        then what has one reader and reads one thing, then the middle one of several."""
        place = {node: i for row in self.order for i, node in enumerate(row)}

        def rank(edge: Edge) -> tuple[int, float]:
            a, b = edge
            above = sorted(place[n] for n in self.above[b])
            off = abs(above.index(place[a]) - (len(above) - 1) / 2)
            stands_in = (a >= self.count) + (b >= self.count)
            single = len(self.above[b]) == len(self.below[a]) == 1
            return (0 if stands_in == 2 else 1 if single else 2 if not stands_in else 3, off)

        taken: list[list[Edge]] = [[] for _ in self.order]
        upper: set[int] = set()
        lower: set[int] = set()
        found = []
        for a, b in sorted(
            {e for c in self.chains for e in pairwise(c)}, key=lambda e: (rank(e), e)
        ):
            row = taken[self.rows[a]]
            crosses = any((place[a] - place[c]) * (place[b] - place[d]) < 0 for c, d in row)
            if a not in upper and b not in lower and not crosses:
                upper.add(a)
                lower.add(b)
                row.append((a, b))
                found.append((a, b))
        return found

    def xs(self) -> list[float]:
        """x of every node."""
        block = list(range(len(self.rows)))
        for a, b in sorted(self.links(), key=lambda e: self.rows[e[0]]):
            block[b] = block[a]
        members: dict[int, list[int]] = {}
        for node, name in enumerate(block):
            members.setdefault(name, []).append(node)
        left: dict[int, list[tuple[int, float]]] = {name: [] for name in members}
        right: dict[int, list[tuple[int, float]]] = {name: [] for name in members}
        for row in self.order:
            for a, b in pairwise(row):
                apart = (self.sizes[a][0] + self.sizes[b][0]) / 2
                apart += LANE if max(a, b) >= self.count else SIDE
                left[block[b]].append((block[a], apart))
                right[block[a]].append((block[b], apart))
        order = list(TopologicalSorter({n: {m for m, _ in left[n]} for n in left}).static_order())
        x: dict[int, float] = {}
        for name in order:
            x[name] = max((x[other] + apart for other, apart in left[name]), default=0.0)
        for sweep in range(SWEEPS * 4):
            for name in reversed(order) if sweep % 2 == 0 else order:
                near = [
                    x[block[n]]
                    for node in members[name]
                    for n in (*self.above[node], *self.below[node])
                    if block[n] != name
                ]
                if near:
                    low = max((x[m] + apart for m, apart in left[name]), default=-inf)
                    high = min((x[m] - apart for m, apart in right[name]), default=inf)
                    x[name] = max(low, min(high, sum(near) / len(near)))
        return [x[name] for name in block]

    def layout(self) -> Layout:
        x = self.xs()
        heights = [max(self.sizes[node][1] for node in row) for row in self.order]
        tops = [0.0]
        for height in heights[:-1]:
            tops.append(tops[-1] + height + BETWEEN)
        ports = {id(links): self._ports(links, x) for links in (self.above, self.below)}
        seen: dict[tuple[int, int, int], int] = {}
        routes = []
        for chain in self.chains:
            points: list[Point] = []
            for a, b in pairwise(chain):
                twin = seen.get((0, a, b), 0)
                seen[0, a, b] = twin + 1
                leave = ports[id(self.below)][a, b][twin]
                enter = ports[id(self.above)][b, a][twin]
                row_a, row_b = self.rows[a], self.rows[b]
                bottom = tops[row_a] + heights[row_a]
                points += [(leave, tops[row_a] + self.sizes[a][1]), (leave, bottom)]
                points.append((enter, tops[row_b]))
            routes.append(_simple(points))
        centres = tuple((x[i], tops[self.rows[i]]) for i in range(self.count))
        return Layout(centres, tuple(routes))

    def _ports(self, links: list[list[int]], x: list[float]) -> dict[tuple[int, int], list[float]]:
        """Where edges meet a node: side by side, in the order of their other ends."""
        found: dict[tuple[int, int], list[float]] = {}
        for node, near in enumerate(links):
            width = min(0.6 * self.sizes[node][0], 22.0 * (len(near) - 1)) if near else 0.0
            for k, other in enumerate(sorted(near, key=x.__getitem__)):
                share = k / (len(near) - 1) - 0.5 if len(near) > 1 else 0.0
                found.setdefault((node, other), []).append(x[node] + share * width)
        return found


def _simple(points: Sequence[Point]) -> tuple[Point, ...]:
    """Without repeated points and points on a straight line."""
    kept: list[Point] = []
    for point in points:
        if kept and abs(point[0] - kept[-1][0]) < 0.05 and abs(point[1] - kept[-1][1]) < 0.05:
            continue
        if len(kept) > 1:
            (x0, y0), (x1, y1) = kept[-2:]
            if abs((x1 - x0) * (point[1] - y0) - (point[0] - x0) * (y1 - y0)) < 0.5:
                kept.pop()
        kept.append(point)
    return tuple(kept)
