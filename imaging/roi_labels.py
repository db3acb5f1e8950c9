"""Label images from the outlines that a person drew in ImageJ: .roi, or the ROI Manager's .zip.

The n-th selection is object n.  As in ImageJ, a pixel belongs to it if its middle, at (y + 1/2,
x + 1/2), lies inside by the even-odd rule; rings of a composite selection are taken together, so
that inner ones are holes.  Where selections overlap, the later one has the pixel.

Source: ImageJ's RoiDecoder.java, through the library roifile.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ImageError
from .axes import Layout
from .image import Image, refusing
from .rois import library

SUFFIXES = (".roi", ".zip")
_FLAT = ("LINE", "FREELINE", "POLYLINE", "NOROI", "ANGLE", "POINT")


def is_named(path: Path) -> bool:
    """Whether a file's name is one of selections."""
    return path.suffix.lower() in SUFFIXES


def read_rois(path: str | Path, image: Image) -> Image:
    """The objects of a file of selections as a label image of the size and pages of `image`.

    ImageError for a file that cannot be read or holds none, for points and lines, for a selection
    without a pixel in the image, and in a stack for one that does not say its slice.
    """
    roifile, path = library(), Path(path)
    with refusing(str(path), "cannot be read as ImageJ's selections"):
        found = roifile.roiread(path)
        rois = found if isinstance(found, list) else [found]
        shapes = [[ring[:, ::-1] for ring in roi.coordinates(multi=True)] for roi in rois]
    if not rois:
        raise ImageError("holds no selection", where=str(path))
    pages, _, height, width = image.shape
    drawn: dict[int, list[tuple[int, np.ndarray]]] = {}
    for number, (roi, rings) in enumerate(zip(rois, shapes, strict=True), 1):
        where = f"{path}, selection '{roi.name}'"
        if roi.roitype.name in _FLAT:
            raise ImageError(
                "has no area",
                where=where,
                found=f"a {roi.roitype.name.lower()}",
                remedy="Draw around the objects, or delete it in the ROI Manager",
            )
        page = _page(roi, image, where)
        mask = inside(rings, (height, width))
        if not mask.any():
            raise ImageError(
                "has no pixel in the image",
                where=where,
                expected=f"{height} x {width} pixels as in {image.path}",
                found=f"y {roi.top} to {roi.bottom}, x {roi.left} to {roi.right}",
            )
        drawn.setdefault(page, []).append((number, np.flatnonzero(mask)))

    dtype = np.dtype(np.uint16 if len(rois) < 1 << 16 else np.uint32)

    def plane(at: tuple[Any, ...]) -> np.ndarray:
        *page, rows, columns = at
        labels = np.zeros((height, width), dtype)
        for number, pixels in drawn.get(page[0] if page else 0, ()):
            labels.flat[pixels] = number
        return labels[rows, columns]

    stack = pages > 1
    layout = Layout((pages, height, width) if stack else (height, width), "QYX" if stack else "YX")
    return Image(path, layout, dtype, None, "", "", (), image.max_bytes, plane)


def inside(rings: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Which pixels of (height, width) have their middle inside rings of corners (y, x)."""
    height, width = shape
    crossed = np.zeros((height, width + 1), np.int64)
    for ring in rings:
        ends = np.roll(ring, -1, axis=0)
        for (y0, x0), (y1, x1) in zip(ring.tolist(), ends.tolist(), strict=True):
            low, high = np.ceil(np.clip(np.array(sorted((y0, y1))) - 0.5, 0, height)).astype(int)
            rows = np.arange(low, high)
            if rows.size:
                x = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
                crossed[rows, np.ceil(np.clip(x - 0.5, 0, width)).astype(int)] += 1
    return crossed.cumsum(axis=1)[:, :width] % 2 == 1


def _page(roi: Any, image: Image, where: str) -> int:
    """The page that a selection was drawn on."""
    pages = len(image)
    if pages == 1:
        return 0
    at = image.layout
    axes = [at.axes[i] for i in at.page_axes]
    told = {"T": roi.t_position, "Z": roi.z_position}
    if all(told.get(a) for a in axes):
        lengths = [at.shape[i] for i in at.page_axes]
        place = [told[a] - 1 for a in axes]
        if all(0 <= p < n for p, n in zip(place, lengths, strict=True)):
            return int(np.ravel_multi_index(place, lengths))
    elif 1 <= roi.position <= pages:
        return int(roi.position) - 1
    raise ImageError(
        "does not say which slice it lies on",
        where=where,
        expected=f"1 to {pages}, as {image.path} has",
        found=roi.position or roi.t_position or roi.z_position or "none",
        remedy="In ImageJ's ROI Manager: More > Options, Associate with slices",
    )
