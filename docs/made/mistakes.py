"""What a mistake costs in pixel, Rand and warping error: small drawn cells, spoilt in five ways.

Every picture is 32 x 32 pixels; cells have their own colours, membranes are dark.  The scores are
those of imaging/metrics.py.

    error-NAME.png          dotted: where it differs from the truth
    error-NAME-bent.png     the truth, bent towards it; dotted: where the two differ still
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from demitasse.imaging import metrics, picture, warping
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


def scores(interior: np.ndarray, measures: tuple[str, ...] = MEASURES) -> dict[str, float]:
    pair = Pair(View(truth().astype("u1"), "binary"), View(interior.astype("f4"), "probability"))
    return {n: s.value for n, s in metrics.evaluate([pair], measures).items()}


def table() -> str:
    lines = ["| | what is wrong | pixel error | Rand error | warping error | the truth, bent |"]
    lines.append("|---|---|---|---|---|---|")
    for name, (what, interior) in spoilt().items():
        values = " | ".join(f"{value:.4f}" for value in scores(interior).values())
        shown = f"![{what}](../images/error-{name}.png)"
        bent = f"![the truth, bent towards it](../images/error-{name}-bent.png)"
        lines.append(f"| {shown} | {what} | {values} | {bent} |")
    return "\n".join(lines)


def thinned() -> str:
    """Markdown: the Rand error beside the measures that thin borders."""
    lines = ["| what is wrong | Rand error | V_rand | V_info |", "|---|---|---|---|"]
    for what, interior in spoilt().values():
        found = scores(interior, ("rand_error", "v_rand", "v_info")).values()
        lines.append(f"| {what} | " + " | ".join(f"{value:.4f}" for value in found) + " |")
    return "\n".join(lines)


def draw(folder: Path) -> None:
    for name, (_, interior) in spoilt().items():
        bent, y, x = warping.warp(truth(), interior.astype("f4"), 0.5)
        left = np.zeros_like(bent)
        left[y, x] = True
        (folder / f"error-{name}.png").write_bytes(painted(interior, interior != truth()))
        (folder / f"error-{name}-bent.png").write_bytes(painted(bent, left))


def painted(interior: np.ndarray, wrong: np.ndarray) -> bytes:
    """PNG: each cell in the colour of the true one that it has most of, a dot where it is wrong."""
    right, most = ndimage.label(truth())
    objects, count = ndimage.label(interior)
    known: list[int] = []  # a second half of a cell is new
    for k in range(1, count + 1):
        one = int(np.bincount(right[objects == k], minlength=most + 1)[1:].argmax()) + 1
        known.append(one if one not in known else most + 1)
    colours = np.array([MEMBRANE, *map(picture.colour, known)], "u1")
    pixels = colours[np.kron(objects, np.ones((SCALE, SCALE), int))]
    dot = np.zeros((SCALE, SCALE), bool)
    dot[1:-1, 1:-1] = True
    pixels[np.kron(wrong, dot)] = (255, 255, 255)
    return picture.png(pixels)
