"""What a mistake costs in pixel, Rand and warping error: small drawn cells, spoilt in five ways.

Every picture is 32 x 32 pixels; cells have their own colours, membranes are dark.  The scores are
those of imaging/metrics.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from demitasse.imaging import metrics, picture
from demitasse.imaging.views import Pair, View
from scipy import ndimage

SIZE, SCALE, SEED = 32, 5, 12
MEASURES = ("pixel_error", "rand_error", "warping_error")
MEMBRANE = (38, 44, 54)


def truth() -> np.ndarray:
    """bool, interior: seven cells, each the points nearest to its middle, and membranes between."""
    rng = np.random.default_rng(SEED)
    middles = rng.uniform(0, SIZE, (7, 2))
    at = np.stack(np.mgrid[:SIZE, :SIZE], -1)
    cell = np.linalg.norm(at[:, :, None] - middles, axis=-1).argmin(-1)
    edge = ndimage.generic_filter(cell, lambda ring: ring.min() != ring.max(), (3, 3))
    return edge == 0


def spoilt() -> dict[str, tuple[str, np.ndarray]]:
    """{name: (what is wrong, interior)}."""
    right = truth()
    objects, _ = ndimage.label(right)
    sizes = np.bincount(objects.reshape(-1))[1:]
    largest, smallest = 1 + int(sizes.argmax()), 1 + int(sizes.argmin())
    gap = right.copy()
    gap[hole(objects)] = True
    false = right.copy()
    columns = np.flatnonzero((objects == largest).any(0))
    false[:, int(np.median(columns))] &= objects[:, int(np.median(columns))] != largest
    return {
        "truth": ("nothing", right),
        "thick": ("all membranes a pixel too thick", ndimage.binary_erosion(right, border_value=1)),
        "shift": (
            "everything a pixel to the right",
            np.pad(right, ((0, 0), (1, 0)), "edge")[:, :-1],
        ),
        "gap": ("a hole in a membrane joins two cells", gap),
        "false": ("a membrane through the largest cell", false),
        "lost": ("the smallest cell is not there", right & (objects != smallest)),
    }


def hole(objects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two pixels of membrane whose removal joins the largest cell to one beside it."""
    sizes = np.bincount(objects.reshape(-1))
    found: list[tuple[int, int, int]] = []
    for y in range(SIZE):
        for x in range(1, SIZE - 2):
            left, right = objects[y, x - 1], objects[y, x + 2]
            if not objects[y, x] and not objects[y, x + 1] and left and right and left != right:
                found.append((int(min(sizes[left], sizes[right])), y, x))
    _, y, x = max(found)
    return np.array([y, y]), np.array([x, x + 1])


def scores(interior: np.ndarray) -> dict[str, float]:
    pair = Pair(View(truth().astype("u1"), "binary"), View(interior.astype("f4"), "probability"))
    return {n: s.value for n, s in metrics.evaluate([pair], MEASURES).items()}


def table() -> str:
    lines = ["| | what is wrong | pixel error | Rand error | warping error |"]
    lines.append("|---|---|---|---|---|")
    for name, (what, interior) in spoilt().items():
        values = " | ".join(f"{value:.4f}" for value in scores(interior).values())
        lines.append(f"| ![{what}](../images/error-{name}.png) | {what} | {values} |")
    return "\n".join(lines)


def draw(folder: Path) -> None:
    right, most = ndimage.label(truth())
    for name, (_, interior) in spoilt().items():
        objects, count = ndimage.label(interior)
        known: list[int] = []  # the true object that each one has most of; a second half is new
        for k in range(1, count + 1):
            one = int(np.bincount(right[objects == k], minlength=most + 1)[1:].argmax()) + 1
            known.append(one if one not in known else most + 1)
        colours = np.array([MEMBRANE, *map(picture.colour, known)], "u1")
        large = np.kron(objects, np.ones((SCALE, SCALE), int))
        (folder / f"error-{name}.png").write_bytes(picture.png(colours[large]))
