"""Outlines of objects along the edges of their pixels.

Pixel (y, x) is the square from corner (y, x) to corner (y + 1, x + 1), so a ring of corners
encloses exactly its pixels: the shoelace sum

    A = 1/2 sum_i (x_i y_{i+1} - x_{i+1} y_i)

of a ring is its number of pixels, and negative for a hole.  Outer rings run clockwise on the screen
(y downward), with the object on their right; where two pixels touch in a corner only, they part.
"""

from __future__ import annotations

import numpy as np

_TURNS = (1, 0, -1)  # right, straight on, left: the first edge that is there goes on


def outlines(objects: np.ndarray) -> dict[int, list[np.ndarray]]:
    """The rings, int64 (corners, 2) as (y, x), of every number above 0 of a map (height, width)."""
    width = objects.shape[1] + 1
    padded = np.pad(objects.astype(np.int64), 1)
    here = padded[1:-1, 1:-1]
    neighbours = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    corners = ((0, 0), (0, 1), (1, 1), (1, 0))  # where the edge of each side begins
    steps = np.array([1, width, -1, -width])
    edges = []
    for side, (beside, (dy, dx)) in enumerate(zip(neighbours, corners, strict=True)):
        y, x = np.nonzero((here != beside) & (here > 0))
        edges.append(np.stack([here[y, x], (y + dy) * width + x + dx, np.full(len(y), side)]))
    owner, start, way = np.concatenate(edges, axis=1)

    places = width * (objects.shape[0] + 1)
    key = (owner * places + start) * 4 + way
    order = np.argsort(key)
    key, owner, start, way = key[order], owner[order], start[order], way[order]
    end = owner * places + start + steps[way]
    after = np.full(len(key), -1)
    for turn in _TURNS:
        wanted = end * 4 + (way + turn) % 4
        at = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
        after = np.where((after < 0) & (key[at] == wanted), at, after)
    bends = np.zeros(len(key), bool)
    bends[after] = way[after] != way
    return _followed(owner.tolist(), start.tolist(), after.tolist(), bends.tolist(), width)


def _followed(
    owner: list[int], start: list[int], after: list[int], bends: list[bool], width: int
) -> dict[int, list[np.ndarray]]:
    """Edges chained to rings, of which the corners where they bend are kept."""
    rings: dict[int, list[np.ndarray]] = {}
    seen = [False] * len(after)
    for first in range(len(after)):
        ring, edge = [], first
        while not seen[edge]:
            seen[edge] = True
            if bends[edge]:
                ring.append(start[edge])
            edge = after[edge]
        if ring:
            corners = np.stack(np.divmod(np.array(ring), width), axis=1)
            rings.setdefault(owner[first], []).append(corners)
    return rings
