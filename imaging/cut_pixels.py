"""Pixels without which their object would fall apart.

A pixel parts its object if the object without it is no longer one 4-connected piece.  To see that
for many pixels at once, all of them are taken out: what is left of the objects, a few pieces, and
the pixels themselves are the nodes of a small graph, joined where they are 4-neighbours.  A piece
is connected whichever pixel goes, so a pixel parts its object exactly where it is a cut vertex of
that graph.

Source of the search: Hopcroft and Tarjan, Communications of the ACM 16(6), 1973.
"""

from __future__ import annotations

import numpy as np


def parting(foreground: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Bool for each foreground pixel (y, x), all different: whether it parts its object."""
    from scipy import ndimage

    rest = np.pad(foreground, 1)
    rest[y + 1, x + 1] = False
    nodes, pieces = ndimage.label(rest)
    nodes[y + 1, x + 1] = pieces + 1 + np.arange(len(y))
    around = np.stack(
        [nodes[y, x + 1], nodes[y + 2, x + 1], nodes[y + 1, x], nodes[y + 1, x + 2]], axis=1
    )
    neighbours: dict[int, set[int]] = {}
    for node, near in enumerate(around.tolist(), start=pieces + 1):
        for other in near:
            if other:
                neighbours.setdefault(node, set()).add(other)
                neighbours.setdefault(other, set()).add(node)
    cut = cut_vertices(neighbours)
    return np.array([pieces + 1 + k in cut for k in range(len(y))], bool)


def cut_vertices(neighbours: dict[int, set[int]]) -> set[int]:
    """The vertices of an undirected graph whose removal leaves more connected parts than before."""
    found: set[int] = set()
    reached: dict[int, int] = {}  # when a vertex was first seen
    low: dict[int, int] = {}  # the earliest vertex that it and what hangs on it have an edge to
    for root in neighbours:
        if root in reached:
            continue
        reached[root] = low[root] = len(reached)
        branches = 0
        path = [(root, iter(neighbours[root]))]
        while path:
            here, rest = path[-1]
            for other in rest:
                if other in reached:
                    low[here] = min(low[here], reached[other])
                else:
                    reached[other] = low[other] = len(reached)
                    path.append((other, iter(neighbours[other])))
                    break
            else:
                path.pop()
                if path:
                    parent = path[-1][0]
                    low[parent] = min(low[parent], low[here])
                    if parent == root:
                        branches += 1
                    elif low[here] >= reached[parent]:
                        found.add(parent)
        if branches > 1:
            found.add(root)
    return found
