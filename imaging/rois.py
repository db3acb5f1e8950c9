"""Objects as ImageJ's regions of interest, in a zip file that its ROI Manager opens.

An object of one ring is a polygon; one with holes, or in several pieces, a composite selection.
Corners are whole numbers, so ImageJ selects exactly the object's pixels.  In a stack a region
belongs to its slice.

Source: ImageJ's RoiDecoder.java, through the library roifile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np

from ..errors import OutputError
from ..files import replacing

_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0  # segments of java.awt.geom.PathIterator


@dataclass(frozen=True)
class Region:
    """name; rings: of `outlines`; colour: of its line; slice: the page of a stack, from 0, None
    where there is one only; z, t: instead, in a hyperstack."""

    name: str
    rings: Sequence[np.ndarray]
    colour: tuple[int, int, int]
    slice: int | None = None
    z: int | None = None
    t: int | None = None


def write_rois(path: str | Path, regions: Iterable[Region], *, overwrite: bool = False) -> None:
    """Write regions as a zip file, whole or not at all: the same bytes at any time."""
    roifile = library()
    with replacing(path, overwrite=overwrite) as temporary, ZipFile(temporary, "w") as archive:
        for region in regions:
            entry = ZipInfo(f"{region.name}.roi")  # of 1980
            entry.external_attr = 0o644 << 16  # who may read it, where it is unpacked
            archive.writestr(entry, _roi(roifile, region).tobytes())


def library() -> Any:
    """The module roifile; OutputError where it is missing."""
    try:
        import roifile
    except ImportError:
        raise OutputError(
            "ImageJ ROI files need the library roifile, which is not installed",
            remedy="pip install 'demitasse[rois]', or pip install roifile",
        ) from None
    return roifile


def _roi(roifile: Any, region: Region) -> Any:
    corners = np.concatenate(region.rings)
    (top, left), (bottom, right) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    roi = roifile.ImagejRoi(
        name=region.name,
        options=roifile.ROI_OPTIONS.OVERLAY_LABELS,
        stroke_color=bytes((255, *region.colour)),
        top=top,
        left=left,
        bottom=bottom,
        right=right,
        position=0 if region.slice is None else region.slice + 1,
        z_position=0 if region.z is None else region.z + 1,
        t_position=0 if region.t is None else region.t + 1,
    )
    if len(region.rings) == 1:
        roi.roitype = roifile.ROI_TYPE.POLYGON
        roi.n_coordinates = len(corners)
        roi.integer_coordinates = (corners - (top, left))[:, ::-1].astype(np.int32)
    else:
        roi.roitype = roifile.ROI_TYPE.RECT
        roi.multi_coordinates = np.array(_path(region.rings), np.float32)
        roi.shape_roi_size = len(roi.multi_coordinates)
    return roi


def _path(rings: Iterable[np.ndarray]) -> list[float]:
    """Rings one after another: move to the first corner, lines to the others, close."""
    path: list[float] = []
    for ring in rings:
        for i, (y, x) in enumerate(ring.tolist()):
            path += [_LINE if i else _MOVE, x, y]
        path.append(_CLOSE)
    return path
