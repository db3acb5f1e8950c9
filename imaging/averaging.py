"""The mean of what a net says of an image and of its mirror images or rotations.

    score(x) = 1/n sum_g g^-1 score(g x)

    none      the image alone
    mirror    the image flipped in x, in y, and in both: 4 versions
    rotate    turned by 0, 90, 180 and 270 degrees: 4 versions
    all       the eight symmetries of the square
    rotate7   turned by 0, 1/7, ... 6/7 of a full turn: 7 versions

A net is not symmetric, though what it looks at has no preferred direction; averaging takes out the
part of its error that depends on how the image happens to lie.  Raw scores are averaged, ahead of
any softmax.  Of a volume the last two axes, y and x, are turned.

The paper averages "7 rotated versions" for its EM result and says no more; rotate7 takes equal
angles from 0 on.  Right angles need no interpolation.  At others the image is turned about its
centre onto a canvas that holds all of it, by cubic splines, mirrored beyond its edges, and the
scores are turned back linearly; the version at angle 0 is the image itself, bit for bit.

Source: arXiv 1505.04597, table 1; the authors' release and caffe_unet average over mirror images or
right angles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .predict import Predictor, Tiling

# kind -> (right-angle turns, flip of the last axis before them) of each version
VERSIONS: dict[str, tuple[tuple[int, bool], ...]] = {
    "none": ((0, False),),
    "mirror": ((0, False), (0, True), (2, False), (2, True)),
    "rotate": ((0, False), (1, False), (2, False), (3, False)),
    "all": tuple((turns, flip) for flip in (False, True) for turns in range(4)),
}
ROTATIONS: dict[str, tuple[float, ...]] = {
    "rotate7": tuple(k / 7 for k in range(7)),  # of a full turn
}
KINDS = (*VERSIONS, *ROTATIONS)


def apply(image: np.ndarray, turns: int, flip: bool) -> np.ndarray:
    """The version of an image (..., H, W)."""
    flipped = image[..., ::-1] if flip else image
    return np.rot90(flipped, turns, axes=(-2, -1))


def undo(image: np.ndarray, turns: int, flip: bool) -> np.ndarray:
    """The inverse of `apply`."""
    turned = np.rot90(image, -turns, axes=(-2, -1))
    return turned[..., ::-1] if flip else turned


def canvas(shape: Sequence[int], turn: float) -> tuple[int, int]:
    """Height and width that hold an image of (height, width) turned by `turn` of a full turn."""
    height, width = shape
    c, s = _rotation(turn)[0]
    return (
        math.ceil(height * abs(c) + width * abs(s) - 1e-9),
        math.ceil(height * abs(s) + width * abs(c) - 1e-9),
    )


def rotate(
    image: np.ndarray, turn: float, shape: Sequence[int], *, order: int, mode: str = "mirror"
) -> np.ndarray:
    """An image (..., H, W) turned counter-clockwise about its centre onto (..., *shape).

    turn: of a full turn; order: of the spline; what lies beyond the image is mirrored.
    """
    from scipy import ndimage

    matrix = _rotation(turn)
    offset = _centre(image.shape[-2:]) - matrix @ _centre(shape)
    planes = image.reshape(-1, *image.shape[-2:])
    turned = np.empty((len(planes), *shape), image.dtype)
    for plane, out in zip(planes, turned, strict=True):
        ndimage.affine_transform(
            plane, matrix, offset, output_shape=tuple(shape), output=out, order=order, mode=mode
        )
    return turned.reshape(*image.shape[:-2], *shape)


def _rotation(turn: float) -> np.ndarray:
    """From places (y, x) in the turned image to those in the image."""
    c, s = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
    return np.array([[c, s], [-s, c]])


def _centre(shape: Sequence[int]) -> np.ndarray:
    return (np.asarray(shape, float) - 1) / 2


@dataclass(frozen=True)
class Version:
    """One pass over the image: how it is turned, the tiles it is then cut into, and the way back.

    there, back: of arrays (..., H, W).
    """

    tiling: Tiling
    there: Callable[[np.ndarray], np.ndarray]
    back: Callable[[np.ndarray], np.ndarray]


def versions(
    predictor: Predictor, shape: Sequence[int], tiling: Tiling, kind: str
) -> Iterator[Version]:
    """The passes of `kind` over an image of `shape`, in tiles like those of `tiling`."""
    plane = (shape[-2], shape[-1])
    same = predictor.geometries[-1] == predictor.geometries[-2]

    def again(whole: Sequence[int]) -> Tiling:
        """Such tiles over another image."""
        return (
            predictor.tiling(whole, tiling.inputs) if predictor.exact else predictor.choose(whole)
        )

    for turns, flip in VERSIONS.get(kind, ()):
        turned = tiling
        if turns % 2:
            turned = _swapped(tiling) if same else again((*shape[:-2], *plane[::-1]))
        yield Version(
            turned,
            lambda x, t=turns, f=flip: apply(x, t, f),  # type: ignore[misc]
            lambda x, t=turns, f=flip: undo(x, t, f),  # type: ignore[misc]
        )
    for turn in ROTATIONS.get(kind, ()):
        if turn == 0:
            yield Version(tiling, lambda x: x, lambda x: x)
            continue
        size = canvas(plane, turn)
        yield Version(
            again((*shape[:-2], *size)),
            lambda x, t=turn, s=size: rotate(x, t, s, order=3),  # type: ignore[misc]
            lambda x, t=turn: rotate(x, -t, plane, order=1, mode="nearest"),  # type: ignore[misc]
        )


def _swapped(tiling: Tiling) -> Tiling:
    """The tiling of the image after a quarter turn."""
    inputs, counts = tiling.inputs, tiling.counts
    return replace(
        tiling,
        inputs=(*inputs[:-2], inputs[-1], inputs[-2]),
        counts=(*counts[:-2], counts[-1], counts[-2]),
    )


def predict(
    predictor: Predictor,
    image: np.ndarray,
    tiling: Tiling,
    kind: str,
    on_tile: Callable[[int, int], None] | None = None,
    *,
    where: str = "",
) -> np.ndarray:
    """Mean scores (classes, *spatial) of an image (channels, *spatial) over the versions of `kind`.

    on_tile(done, all) is called after each tile of each version.
    """
    total: np.ndarray | None = None
    count = 0
    for version in versions(predictor, image.shape[1:], tiling, kind):
        seen = np.ascontiguousarray(version.there(image))
        score = version.back(predictor.predict(seen, version.tiling, on_tile, where=where))
        total = score if total is None else total + score
        count += 1
    assert total is not None
    return total if count == 1 else total / count
