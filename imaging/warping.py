"""The warping error of the ISBI 2012 challenge: pixels where the topology is wrong.

The truth is warped towards the prediction: a pixel in which the two differ is flipped in the truth
if that is a *simple* point, one whose flip changes no topology.  What still differs afterwards is a
topological mistake; merges and splits count.

    error = min over thresholds of (split pixels + merge pixels) / pixels

Objects are 4-connected, the background 8-connected.  In the ring of its eight neighbours a simple
point has exactly one 4-connected piece of foreground that holds a 4-neighbour of it, and some
background (Bertrand and Malandain, Pattern Recognition Letters 15, 1994, with n = 4).  Outside the
image all is background.

The pixels that differ are visited in the order of descending |prediction - threshold| (float32;
ties by columns), again and again until a round flips none.  A mismatch p that is left is told from
the objects of the warped truth, 0 for background, that the ring of p within the image shows:

    background alone      p white: object deletion     p black: object addition
    one object alone      p white: hole addition       p black: hole deletion
    two numbers           p white: a split where p parts its object, else hole deletion
                                                       p black: hole addition
    three or more         p white: split               p black: merge

Source: Jain et al., CVPR 2010; the challenge's evaluation (Trainable Segmentation's WarpingError
with clusterByError false, radius -1), whose orders and conventions are followed.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from .cut_pixels import parting

RING = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))  # in order around


class Mistake(IntEnum):
    """What flipping a mismatch in the warped truth would do."""

    OBJECT_ADDITION = 0
    OBJECT_DELETION = 1
    HOLE_ADDITION = 2
    HOLE_DELETION = 3
    SPLIT = 4
    MERGE = 5


def _simple(code: int) -> bool:
    """Whether a point is simple whose neighbour RING[k] is foreground where bit k is set."""
    on = [bool(code >> k & 1) for k in range(8)]
    if all(on):
        return False
    gap = on.index(False)
    pieces, touching = 0, False
    for k in range(gap + 1, gap + 9):  # once around, from background to background
        if on[k % 8]:
            touching |= k % 2 == 1  # odd places are 4-neighbours
        else:
            pieces += touching
            touching = False
    return pieces == 1


SIMPLE = tuple(_simple(code) for code in range(256))


def mistakes(
    truth: np.ndarray, prediction: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(kind, y, x) of the pixels that differ after warping; kinds are those of `Mistake`.

    truth: bool (height, width); prediction: floating point, interior where above the threshold.
    """
    warped, y, x = warp(truth, prediction, threshold)
    return classify(warped, y, x), y, x


def warp(
    truth: np.ndarray, prediction: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The warped truth (bool), and y, x of the pixels in which it still differs."""
    width = truth.shape[1]
    stride = width + 2
    x, y = np.nonzero((truth != (prediction > threshold)).T)
    far = np.abs(prediction[y, x].astype(np.float32) - np.float64(threshold)).astype(np.float32)
    order = np.argsort(-far, kind="stable")
    waiting = ((y[order] + 1) * stride + x[order] + 1).tolist()

    # every pixel's ring as eight bits, kept up to date: a visit is one look into a table
    rings = bytearray(_rings(truth).tobytes())
    steps = [(dy * stride + dx, 1 << (k + 4) % 8) for k, (dy, dx) in enumerate(RING)]
    flipped: list[int] = []
    while True:
        left = []
        for p in waiting:
            if SIMPLE[rings[p]]:
                flipped.append(p)
                for step, bit in steps:
                    rings[p + step] ^= bit
            else:
                left.append(p)
        if len(left) == len(waiting):
            break
        waiting = left
    warped = truth.copy()
    rows, columns = np.divmod(np.array(flipped, np.int64), stride)
    warped[rows - 1, columns - 1] ^= True
    rows, columns = np.divmod(np.array(waiting, np.int64), stride)
    return warped, rows - 1, columns - 1


def _rings(foreground: np.ndarray) -> np.ndarray:
    """uint8 (height + 2, width + 2): bit k says whether neighbour RING[k] is foreground."""
    height, width = foreground.shape
    codes = np.zeros((height + 2, width + 2), np.uint8)
    beyond = np.pad(foreground, 2).astype(np.uint8)
    for k, (dy, dx) in enumerate(RING):
        codes |= beyond[1 + dy : 3 + dy + height, 1 + dx : 3 + dx + width] << k
    return codes


def classify(warped: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The `Mistake` of each of the pixels (y, x), int64, by the table in the module's docstring."""
    from scipy import ndimage

    objects, _ = ndimage.label(warped)
    framed = np.pad(objects, 1, constant_values=-1)
    ring = np.stack([framed[y + 1 + dy, x + 1 + dx] for dy, dx in RING], axis=1)
    ring.sort(axis=1)
    fresh = np.ones(ring.shape, bool)
    fresh[:, 1:] = ring[:, 1:] != ring[:, :-1]
    seen = (fresh & (ring >= 0)).sum(axis=1)
    white, inside = warped[y, x], ring[:, -1] > 0
    kinds = np.where(white, Mistake.SPLIT, Mistake.MERGE)
    few = seen <= 1
    kinds[few & ~inside & white] = Mistake.OBJECT_DELETION
    kinds[few & ~inside & ~white] = Mistake.OBJECT_ADDITION
    kinds[few & inside & white] = Mistake.HOLE_ADDITION
    kinds[few & inside & ~white] = Mistake.HOLE_DELETION
    kinds[(seen == 2) & ~white] = Mistake.HOLE_ADDITION
    unsure = np.flatnonzero((seen == 2) & white)
    whole = ~parting(warped, y[unsure], x[unsure])
    kinds[unsure[whole]] = Mistake.HOLE_DELETION
    return kinds
