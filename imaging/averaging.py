"""The mean of what a net says of an image and of its mirror images or rotations.

    score(x) = 1/n sum_g g^-1 score(g x)

    none      the image alone
    mirror    the image flipped in x, in y, and in both: 4 versions
    rotate    turned by 0, 90, 180 and 270 degrees: 4 versions
    all       the eight symmetries of the square

A net is not symmetric, though what it looks at has no preferred direction; averaging takes out the
part of its error that depends on how the image happens to lie.  Raw scores are averaged, ahead of
any softmax.

Source: the paper averages 7 rotated versions for its EM result; the authors' release and caffe_unet
average over mirror images or right angles, which need no interpolation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .predict import Predictor, Tiling

# kind -> (right-angle turns, flip of the last axis before them) of each version
VERSIONS: dict[str, tuple[tuple[int, bool], ...]] = {
    "none": ((0, False),),
    "mirror": ((0, False), (0, True), (2, False), (2, True)),
    "rotate": ((0, False), (1, False), (2, False), (3, False)),
    "all": tuple((turns, flip) for flip in (False, True) for turns in range(4)),
}


def apply(image: np.ndarray, turns: int, flip: bool) -> np.ndarray:
    """The version of an image (..., H, W)."""
    flipped = image[..., ::-1] if flip else image
    return np.rot90(flipped, turns, axes=(-2, -1))


def undo(image: np.ndarray, turns: int, flip: bool) -> np.ndarray:
    """The inverse of `apply`."""
    turned = np.rot90(image, -turns, axes=(-2, -1))
    return turned[..., ::-1] if flip else turned


def predict(
    predictor: Predictor,
    image: np.ndarray,
    tiling: Tiling,
    kind: str,
    on_tile: Callable[[int, int], None] | None = None,
    *,
    where: str = "",
) -> np.ndarray:
    """Mean scores (classes, H, W) of an image (channels, H, W) over the versions of `kind`."""
    turned = replace(tiling, inputs=tiling.inputs[::-1], counts=tiling.counts[::-1])
    total: np.ndarray | None = None
    for turns, flip in VERSIONS[kind]:
        version = np.ascontiguousarray(apply(image, turns, flip))
        cut = turned if turns % 2 else tiling
        score = undo(predictor.predict(version, cut, on_tile, where=where), turns, flip)
        total = score if total is None else total + score
    assert total is not None
    return total / len(VERSIONS[kind])
