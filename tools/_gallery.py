"""The pictures of a report, as PNG: tiles with contours, deformed images and grids, weight maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..imaging.picture import colour, overlay, png, to_rgb
from ..imaging.preview import NOTHING, SCALE, Sample
from ._samples import Deformed, Tile

Keys = list[tuple[tuple[int, int, int], str]]  # colours, and what they mean
TILE_WIDTH, CELL = 1000, 250  # display pixels: of a tile's two panels, of a deformed image
_GRID, _EDGE, _PAPER = (0, 114, 178), (213, 94, 0), (255, 255, 255)
BENT: Keys = [(_GRID, "the grid"), (_EDGE, "the border")]
LINES = 16  # of the grid along the longer side of an image


def tile(one: Tile, *, several: bool = False) -> bytes:
    """Image and contours side by side: of two classes prediction and truth in one panel, of several
    the prediction's classes, and in another panel the truth's."""
    if not several:
        seen = overlay(one.image, one.predicted, one.truth, keyed=False)
        return png(_fitted(seen, TILE_WIDTH))
    ours, theirs = (
        overlay(one.image, labels, keyed=False) for labels in (one.predicted, one.truth)
    )
    panel = theirs[:, theirs.shape[1] - theirs.shape[1] // 2 :]  # without the image
    return png(_fitted(np.concatenate([ours, panel], axis=1), TILE_WIDTH * 3 // 2))


def classes(labels: Iterable[np.ndarray]) -> Keys:
    """Of the classes above 0 in these label maps."""
    found = sorted({int(c) for one in labels for c in np.unique(one) if c > 0})
    return [(colour(c), f"class {c}") for c in found]


def weights(samples: Sequence[Sample]) -> Keys:
    """Of the pictures of samples with weights (`imaging.preview`)."""
    return [
        ((0, 0, 0), "class 0"),
        *classes(sample.labels for sample in samples),
        (NOTHING, "weighs nothing"),
        (SCALE[0], "least weight"),
        (SCALE[-1], "largest weight, by the logarithm"),
    ]


def deformations(drawn: Sequence[Deformed]) -> bytes:
    """A column for each: the image, its regular grid through the field, and the image through it
    where it is not bent already.

    The grid's lines are blue, the image's own border orange: beyond it the image is mirrored.
    """
    rows: list[list[np.ndarray]] = [[], [], []]
    for one in drawn:
        grid = regular_grid(one.image.shape[1:])
        bent = one.applied(grid).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
        seen = to_rgb(np.concatenate([one.image, one.applied(one.image)], axis=2))
        before, after = seen[:, : one.image.shape[2]], None
        if one.image.shape[1:] == one.field.shape[:-1]:  # one scale of grey for both
            after = seen[:, one.image.shape[2] :]
        after = to_rgb(one.applied(one.image)) if after is None else after
        for row, picture in zip(rows, (before, bent, after), strict=True):
            row.append(_fitted(picture, CELL))
    return png(_sheet(rows[:2] if drawn[0].packed else rows))


def regular_grid(size: Sequence[int]) -> np.ndarray:
    """Lines on white, (3, H, W) float32 from 0 to 255."""
    height, width = size
    sheet = np.empty((height, width, 3), np.float32)
    sheet[:] = _PAPER
    step, thick = max(2, max(size) // LINES), max(1, max(size) // 190)
    for start in range(step, max(size) - step // 2, step):
        sheet[start : start + thick] = _GRID
        sheet[:, start : start + thick] = _GRID
    edge = 2 * thick
    for part in (np.s_[:edge], np.s_[-edge:], np.s_[:, :edge], np.s_[:, -edge:]):
        sheet[part] = _EDGE
    return np.ascontiguousarray(sheet.transpose(2, 0, 1))


def _sheet(rows: Sequence[Sequence[np.ndarray]], gap: int = 8) -> np.ndarray:
    """Pictures in rows and columns on white."""
    heights = [max(p.shape[0] for p in row) for row in rows]
    widths = [max(p.shape[1] for p in column) for column in zip(*rows, strict=True)]
    shape = (sum(heights) + gap * (len(rows) - 1), sum(widths) + gap * (len(widths) - 1), 3)
    sheet = np.full(shape, 255, np.uint8)
    y = 0
    for row, height in zip(rows, heights, strict=True):
        x = 0
        for picture, width in zip(row, widths, strict=True):
            sheet[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
            x += width + gap
        y += height + gap
    return sheet


def _fitted(pixels: np.ndarray, width: int) -> np.ndarray:
    """Reduced or enlarged to this width."""
    import PIL.Image

    size = (width, max(1, round(pixels.shape[0] * width / pixels.shape[1])))
    how = PIL.Image.Resampling.BOX if width < pixels.shape[1] else PIL.Image.Resampling.BICUBIC
    return np.asarray(PIL.Image.fromarray(pixels).resize(size, how))
