"""Results as OME-TIFF: a channel for each class, with its name, and the size of a pixel in the XML.

    write("img.ome.tif", pages, letters="Z", lengths=(24,), channels=("membrane", "interior"), ...)

Bio-Formats, QuPath, napari and OMERO read it.

Source: the OME data model 2016-06, through tifffile.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ..files import replacing
from ..texts import utf8
from .axes import Layout
from .tiff import CLASSIC_BYTES, ome_sizes, planes


def write(
    path: str | Path,
    pages: Iterable[np.ndarray],
    *,
    letters: str,
    lengths: Sequence[int],
    channels: Sequence[str],
    pixel_size: tuple[float, float] | None = None,
    depth: float | None = None,
    unit: str = "um",
    info: str = "",
    overwrite: bool = False,
) -> None:
    """Write pages (channels, height, width), one by one, whole or not at all.

    letters, lengths: the axes that the pages lie along, the fastest last, of Z and T; channels: a
    name for each; pixel_size: (y, x), depth: between slices, in `unit`; info: the description.
    OutputError where the file exists and overwrite is False.
    """
    import tifffile

    rest = iter(pages)
    first = np.asarray(next(rest))
    shape = (*lengths, *first.shape)
    settings: dict[str, Any] = {"axes": f"{letters}CYX", "Channel": {"Name": list(channels)}}
    settings |= {"Description": utf8(info)} if info else {}
    settings |= ome_sizes(pixel_size, depth, unit)
    with replacing(path, overwrite=overwrite) as temporary:
        tifffile.imwrite(
            temporary,
            planes(chain([first], rest), (math.prod(lengths), *first.shape), first.dtype),
            shape=shape,
            dtype=first.dtype,
            photometric="minisblack",
            metadata=settings,
            ome=True,
            bigtiff=math.prod(shape) * first.dtype.itemsize >= CLASSIC_BYTES,
        )


def page_axes(
    layout: Layout, pages: Sequence[int], volumes: int = 1
) -> tuple[str, tuple[int, ...]]:
    """Letters and lengths for `pages` of a file: its own where they are all and known to be time
    and depth, else one axis Z (T where that is the file's only one), of several volumes T and Z."""
    found = [(layout.axes[a], layout.shape[a]) for a in layout.page_axes]
    letters = "".join(letter for letter, _ in found)
    if letters in ("TZ", "ZT") and len(pages) == layout.pages:
        return letters, tuple(length for _, length in found)
    if volumes > 1:
        return "TZ", (volumes, len(pages) // volumes)
    return "T" if letters == "T" else "Z", (len(pages),)
