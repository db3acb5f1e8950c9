"""Regions grown over the borders between them until one line of pixels is left.

The two-dimensional watershed of a binary border map: the 4-connected pieces of the interior are the
basins; all border pixels have one height, so they are flooded in the order of their (city block)
distance from the basins.  A pixel reached by one basin joins it; a pixel reached by two becomes
line, label 0.  Afterwards no two pixels of different basins are 4-neighbours.

Ties, where two basins reach neighbouring pixels in the same step: pixels with even y + x go first,
then those with odd y + x, which see the first ones' labels.  So the line of an even-width border
lies on one side of its middle, and turning the image may move it by a pixel.  A border pixel that
only lines reach stays 0.  A map without any interior is one plateau: one basin, label 1.

Source: flooding in the sense of Vincent and Soille, IEEE PAMI 13(6), 1991, and Meyer, 1994.
"""

from __future__ import annotations

import numpy as np

_OUTSIDE = -1


def thin(interior: np.ndarray) -> np.ndarray:
    """Basins 1..n (height, width) int32 of a binary map, 0 on the lines between them."""
    from scipy import ndimage

    basins, count = ndimage.label(interior)
    if count < 2:
        return np.ones(interior.shape, np.int32)
    height, width = interior.shape
    stride = width + 2
    labels = np.full((height + 2, stride), _OUTSIDE, np.int32)
    labels[1:-1, 1:-1] = basins
    flat = labels.reshape(-1)
    waiting = np.zeros(flat.size, bool)  # border pixels not decided yet
    waiting.reshape(labels.shape)[1:-1, 1:-1] = basins == 0
    neighbours = np.array([-stride, -1, 1, stride])

    front = np.flatnonzero(flat > 0)
    while len(front):
        reached = (front[:, None] + neighbours).reshape(-1)
        reached = np.unique(reached[waiting[reached]])
        odd = ((reached // stride + reached % stride) & 1).astype(bool)
        joined = []
        for group in (reached[~odd], reached[odd]):
            around = flat[group[:, None] + neighbours]
            around = np.where(around > 0, around, 0)
            most = around.max(axis=1, initial=0)
            least = np.where(around > 0, around, count + 1).min(axis=1, initial=count + 1)
            one = least == most
            flat[group[one]] = most[one]
            joined.append(group[one])
        waiting[reached] = False
        front = np.concatenate(joined)
    return labels[1:-1, 1:-1].copy()
