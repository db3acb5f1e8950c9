"""The pixels of a TIFF file: which pages belong together, whether they are there, how to get one.

A file is read by itself, whatever others its metadata name.  tifffile parses and decodes; what it
merely logs, like a chain of pages that breaks off, is an error here.  Pixels that lie in the file
as one array are mapped, others decoded page by page.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from ..errors import ImageError
from . import ome_xml
from . import pixel_size as size_of
from .axes import layout
from .image import Image, Plane, check_stored, cut_off, listed, plain_type, within

# what tifffile merely logs although pixels are missing
_BROKEN = re.compile(
    r"invalid (page )?offset|circular|missing(?! files)|failed to read(?! display| comments)"
    r"|out of range|no pages",
    re.IGNORECASE,
)
_SPREAD = "its metadata name other files as well: it is read by itself"


def read_tiff(
    path: Path, axes: str | None, number: int | None, limit: int, *, trusting: bool
) -> Image:
    said: list[str] = []
    with _listening(said), opened(path) as (file, spread):
        if not len(file.pages):
            raise cut_off(path, "a header without an image")
        series = list(file.series)
        broken = next((text for text in said if _BROKEN.search(text)), "")
        if broken:
            raise cut_off(path, broken.split("> ")[-1])
        chosen, notes = choose(series, number, path)
        first = chosen[0].keyframe
        image = series.index(chosen[0]) if len(chosen) == 1 < len(series) else None
        frames, shape, letters = _own(chosen, path)
        if spread or len(frames) < sum(len(s.pages) for s in chosen):
            notes.append(_SPREAD)
        _check_kind(first, path)
        _check_storage(chosen[0], frames, path, trusting)
        if len(chosen) > 1:
            shape, letters = (len(chosen), *shape), "Q" + letters
        samples = 3 if first.photometric.name == "RGB" and _samples(shape, letters) == 4 else None
        at = layout(shape, letters, override=axes, samples=samples, where=str(path))
        if at.samples:
            notes.append("alpha channel left out")
        if first.photometric.name == "PALETTE":
            notes.append("indexed colours: the indices are read, not the colours")
        inverted = first.photometric.name == "MINISWHITE" and first.bitspersample == 1
        if inverted:
            notes.append("stored as 'min is white': white is read as 1")
        elif first.photometric.name == "MINISWHITE":  # programs show them so, but compute with them
            notes.append("stored as 'min is white': the values are read as they are, not inverted")
        pixel, unit = _pixel_size(file, first, image)
        depth = size_of.depth(file.imagej_metadata or {}, file.ome_metadata or "", unit)
        if len(chosen) == 1 and chosen[0].dataoffset is not None:
            plane = _mapped(path, chosen[0], file.byteorder)
        else:
            plane = _paged(frames, shape, first, limit)
    dtype = plain_type(np.dtype(first.dtype), path)
    info = (file.imagej_metadata or {}).get("Info", "")
    said_of = "\n".join(str(text) for text in (first.description, info) if text)
    return Image(path, at, dtype, pixel, unit, said_of, tuple(notes), limit, plane, depth, inverted)


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, bool]]:
    """The TIFF file, of which OME's metadata name what lies in it alone, and whether they name
    more."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        said = file.ome_metadata if file.is_ome else None
        xml, spread = ome_xml.own(said, path, file.pages) if said else (said, False)
        if xml == said:
            yield file, spread
            return
    with tifffile.TiffFile(path, omexml=xml) as file:
        yield file, spread


def choose(series: Sequence[Any], number: int | None, path: Path) -> tuple[list[Any], list[str]]:
    """The series to read: the one asked for, the only one, all where they are alike, or else the
    first image of OME's; and what is to be said of others."""
    told = {k: (s.shape, s.axes, s.dtype) for k, s in enumerate(series)}
    if number is not None:
        if number not in told:
            raise ImageError(f"has no series {number}", where=str(path), expected=listed(told))
        return [series[number]], []
    notes = []
    whole = {k: told[k] for k, s in enumerate(series) if not s.keyframe.is_reduced}
    if 0 < len(whole) < len(told):
        told = whole
        notes.append("a smaller copy left out")
    chosen = [series[k] for k in told]
    if len(set(told.values())) > 1:
        if chosen[0].kind == "ome":  # which are images, and no pages of one
            notes.append(
                f"the first of {len(told)} images alone is read ({listed(told)}): deploy and serve "
                "take another with --series NUMBER, other commands in a file of its own"
            )
            return chosen[:1], notes
        raise ImageError(
            "holds pages of different sizes or types",
            where=str(path),
            found=listed(told),
            remedy="Save the pages you need as one stack of equal pages, or segment one of them "
            "with deploy --series NUMBER",
        )
    return chosen, notes


def _own(chosen: Sequence[Any], path: Path) -> tuple[list[Any], tuple[int, ...], str]:
    """The pages of series that lie in the file itself, None for one that is missing, and the shape
    and axes of a series: Micro-Manager's go on in other files."""
    first = chosen[0]
    shape, letters = tuple(first.shape), str(first.axes)
    frames = [s.pages[k] for s in chosen for k in range(len(s.pages))]
    if not any(s.is_multifile for s in chosen):
        return frames, shape, letters
    here, outer = Path(path).resolve(), len(shape) - len(first.keyframe.shape)
    files = [f and Path(f.parent.filehandle.path).resolve() for f in frames]
    mine = [k for k, file in enumerate(files) if file == here]
    along = ome_xml.grid(mine, shape[:outer])
    if not mine or not along:
        raise ome_xml.refuse_part(len(mine), len(frames), path)
    lengths = (*map(len, along), *shape[outer:])
    longer = [k for k, length in enumerate(lengths) if length > 1 or k >= outer]
    own = tuple(lengths[k] for k in longer), "".join(letters[k] for k in longer)
    return [frames[k] for k in mine], *own


def _check_kind(page: Any, path: Path) -> None:
    name = page.photometric.name
    if name in ("SEPARATED", "CIELAB", "ICCLAB", "ITULAB", "CFA", "LINEAR_RAW"):
        raise ImageError(
            f"has colours that are not RGB ({name})", where=str(path), remedy="Convert it to RGB"
        )
    if page.dtype is None:
        raise ImageError(
            f"has pixels of {page.bitspersample} bits, an unknown type", where=str(path)
        )


def _check_storage(series: Any, frames: Sequence[Any], path: Path, trusting: bool) -> None:
    """Refuse pages that end beyond the file, and sizes that the stored bytes cannot hold."""
    length = path.stat().st_size
    if series.dataoffset is not None and series.dataoffset + series.nbytes > length:
        raise cut_off(path, f"{length} bytes", f"{series.dataoffset + series.nbytes} bytes")
    for k, frame in enumerate(frames):
        if frame is None:
            raise cut_off(path, f"page {k} is missing")
        stored = 0
        for at, count in zip(frame.dataoffsets, frame.databytecounts, strict=False):
            stored += count
            if at + count > length:
                raise cut_off(path, f"{length} bytes", f"{at + count} bytes (page {k})")
        page = series.keyframe
        declared = page.nbytes
        if page.compression == 1 and not page.is_tiled and 0 < stored < declared // 8:
            raise cut_off(path, f"{stored} bytes for page {k}", f"{declared} bytes")
        if not trusting:
            check_stored(f"page {k}", declared, stored, path)


def _pixel_size(file: Any, page: Any, number: int | None) -> size_of.Size:
    tags = {t: page.tags[t].value for t in ("XResolution", "YResolution") if t in page.tags}
    x, y = tags.get("XResolution"), tags.get("YResolution")
    if file.is_ome:
        return size_of.from_ome(file.ome_metadata or "", number)
    if file.is_imagej:
        return size_of.from_imagej(file.imagej_metadata or {}, x, y)
    unit = page.tags["ResolutionUnit"].value if "ResolutionUnit" in page.tags else 2
    return size_of.from_tags(unit, x, y)


def _mapped(path: Path, series: Any, byteorder: str) -> Plane:
    """Planes of pixels that lie in the file as one array: mapped, not read, and no more of the file
    than the axes in front of the first slice leave over."""
    dtype, start = np.dtype(series.dtype).newbyteorder(byteorder), series.dataoffset
    shape = tuple(series.shape)

    def plane(at: tuple[int | slice, ...]) -> np.ndarray:
        ahead = next(k for k, index in enumerate(at) if isinstance(index, slice))
        inner = shape[ahead:]
        number = 0
        for index, length in zip(at[:ahead], shape, strict=False):
            number = number * length + int(index)  # type: ignore[arg-type]  # no slice is left here
        offset = start + number * math.prod(inner) * dtype.itemsize
        return np.array(np.memmap(path, dtype, "r", offset, inner)[at[ahead:]])

    return plane


def _paged(frames: Sequence[Any], shape: tuple[int, ...], first: Any, limit: int) -> Plane:
    """Planes of pixels that must be decoded page by page; the last page decoded is kept."""
    inner = len(first.shape)
    if int(np.prod(shape[: len(shape) - inner], dtype=object)) != len(frames):
        raise ImageError(f"has {len(frames)} pages, which do not fill the shape {shape}")
    kept: dict[int, np.ndarray] = {}

    def decoded(number: int) -> np.ndarray:
        if number not in kept:
            frame = frames[number]
            within(first.nbytes, limit, str(frame.parent.filehandle.path), "one page")
            kept.clear()
            handle = frame.parent.filehandle
            handle.open()
            try:
                kept[number] = np.asarray(frame.asarray())
            finally:
                handle.close()
        return kept[number]

    def plane(at: tuple[int | slice, ...]) -> np.ndarray:
        outer, part = at[: len(shape) - inner], at[len(shape) - inner :]
        if any(isinstance(i, slice) for i in outer):  # Y or X runs over pages, by the user's word
            every = [decoded(k)[part] for k in range(len(frames))]
            whole = np.stack(every).reshape(shape[: len(shape) - inner] + every[0].shape)
            return np.array(whole[outer])
        number = 0
        for i, length in zip(outer, shape, strict=False):
            number = number * length + int(i)  # type: ignore[arg-type]  # no slice is left here
        return np.array(decoded(number)[part])

    return plane


def _samples(shape: tuple[int, ...], letters: str) -> int:
    return shape[letters.index("S")] if "S" in letters else 1


_LISTENS = RLock()  # what loggers do is the whole program's


@contextmanager
def _listening(said: list[str]) -> Iterator[None]:
    """Collect what tifffile logs: it reports missing pages there instead of raising.  Also where a
    program has turned its logger, or all of them, off: that is put back, and no other thread is
    listening meanwhile, which would put back what is set here."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    handler, logger = Handler(logging.WARNING), logging.getLogger("tifffile")
    with _LISTENS:
        off, level, most = logger.disabled, logger.level, logging.root.manager.disable
        logger.disabled = False
        logger.setLevel(logging.WARNING)
        logging.disable(logging.NOTSET)
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.disabled = off
            logger.setLevel(level)
            logging.disable(most)
