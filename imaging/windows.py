"""An image that is read window by window, because it is larger than memory.

    image = open_image("big.zarr")                 OME-Zarr, a Zarr array, TIFF
    sample = Sample(image, (0,), offset, scale)    (channels, *spatial), normalised
    sample[:, 0:572, 1000:1572]                    reads what is asked for, and no more

A sample is cut into tiles like an array (tiles.read), and a tile of it holds the same bits as one
of the whole image, normalised in memory: (x + offset) * scale is computed pixel by pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ..data.normalize import Normalization, check_finite
from ..errors import ImageError
from . import decode, ngff, tiff
from .image import Image, Plane
from .tiles import Slices

PIECE = 64 << 20  # bytes that must be decoded at once, at most


def open_image(
    path: str | Path,
    *,
    axes: str | None = None,
    series: int | None = None,
    channels: Sequence[int] | None = None,
) -> Image:
    """A Zarr image or TIFF file, understood but not yet read; `Image.window` reads a part.

    axes, series, channels: as for `tiff.read`; the series of a Zarr folder are its groups 0, 1, ...
    Raises ImageError, also for a TIFF file of which only large pieces can be decoded.
    """
    if ngff.is_zarr(path):
        image = ngff.read(path, axes=axes, series=series)
        return image if channels is None else image.only(channels)
    image = tiff.read(path, axes=axes, series=series, channels=channels)
    with open(path, "rb") as file:
        png = file.read(4) == b"\x89PNG"
    return image if png else replace(image, _plane=_tiled(image, series))


def _tiled(image: Image, number: int | None) -> Plane:
    """The planes of a TIFF file, decoded tile by tile (or strip by strip)."""
    import zarr

    with decode.opened(image.path) as (file, _):
        chosen, _ = decode.choose(file.series, number, image.path)
        series = chosen[0]
        # series that are alike were read as one, with a first axis
        if len(chosen) > 1 or series.is_multifile or series.dataoffset is not None:
            return image._plane
        page: Any = series.keyframe
        shape = page.tile if page.is_tiled else (page.rowsperstrip, page.imagewidth)
        piece = math.prod(shape) * page.samplesperpixel * page.dtype.itemsize
        if piece > PIECE:
            raise ImageError(
                "can only be decoded in pieces that are too large to be read window by window",
                where=str(image.path),
                expected=f"tiles of at most {PIECE >> 20} MiB",
                found=f"{piece / 2**20:,.0f} MiB",
                remedy="Save it as OME-Zarr, or as TIFF with tiles",
            )
        array = zarr.open_array(series.aszarr(level=0), mode="r")
        handle, lock = page.parent.filehandle, Lock()  # open only while it is read

    def plane(at: tuple[int | slice, ...]) -> np.ndarray:
        with lock:
            handle.open()
            try:
                return np.asarray(array[at])
            finally:
                handle.close()

    return plane


@dataclass(frozen=True)
class Sample:
    """What the net sees of some pages of an image: one page, or the slices of a volume.

    axes: 2 or 3, of the net; offset, scale: of its normalisation; nonfinite: "refuse" or "zero".
    """

    image: Image
    pages: Sequence[int]
    axes: int = 2
    offset: float = 0.0
    scale: float = 1.0
    nonfinite: str = "refuse"

    @property
    def shape(self) -> tuple[int, ...]:
        _, channels, height, width = self.image.shape
        return (channels, *((len(self.pages),) if self.axes == 3 else ()), height, width)

    def raw(self, at: Slices) -> np.ndarray:
        """The pixels as they are, of spatial slices without steps."""
        sizes = zip(at[-2:], self.shape[-2:], strict=True)
        rows, columns = (slice(*part.indices(size)) for part, size in sizes)
        if self.axes == 2:
            return self.image.window(self.pages[0], rows, columns)
        return np.stack([self.image.window(p, rows, columns) for p in self.pages[at[0]]], axis=1)

    def __getitem__(self, at: Slices, /) -> np.ndarray:
        """The part [:, *spatial], normalised."""
        part = self.raw(at[1:])
        bad = check_finite(part, nonfinite=self.nonfinite, where=self.where(at[1:]))
        return Normalization.apply(part, self.offset, self.scale, bad)

    def where(self, at: Slices) -> str:
        """How messages name a part."""
        starts = (f"{name} {s.start or 0}" for name, s in zip("yx", at[-2:], strict=True))
        return f"{self.image.path}, page {self.pages[0]}, the part from {' and '.join(starts)} on"
