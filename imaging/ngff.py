"""OME-Zarr: images as Zarr arrays that say what their axes are and how large a pixel is.

    read("big.zarr")                      its largest resolution, as an Image; nothing is read yet
    made = create(path, shape, ...)       a new image, of which the caller writes level 0
    made.shrink(level, number)            one chunk of the next level, from the level before

Read are OME-Zarr 0.4 and 0.5 (Zarr 2 and 3), one image of a collection, and bare arrays,
whose axes are their dimension names or else the last of t, c, z, y, x.  Written is OME-Zarr 0.5.  A
level has half the rows and columns of the one before: of labels every other pixel, of other values
the mean of two by two.

Source: https://ngff.openmicroscopy.org/0.5/ (multiscales metadata).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ImageError
from .axes import layout
from .image import MAX_BYTES, Image, listed, plain_type, refusing
from .pixel_size import unit_name

AXES = "TCZYX"  # their order in the file
TYPES = {"T": "time", "C": "channel"}
LEAST = 1024  # pixels: a level whose longer side has no more is the last
_MARKS = ("zarr.json", ".zgroup", ".zarray")
_UNITS = {
    "um": "micrometer",
    "nm": "nanometer",
    "pm": "picometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "dm": "decimeter",
    "m": "meter",
    "angstrom": "angstrom",
    "inch": "inch",
}


def is_zarr(path: str | Path) -> bool:
    """Whether a folder is a Zarr group or array."""
    return any((Path(path) / name).is_file() for name in _MARKS)


def read(path: str | Path, *, axes: str | None = None, series: int | None = None) -> Image:
    """The image in a Zarr folder, of a collection number `series` (None: the first); ImageError
    where it holds none."""
    import zarr

    path = Path(path)
    with refusing(str(path), "cannot be read as Zarr"):
        images = _images(zarr.open(str(path), mode="r"))
        number = min(images) if series is None else series
        several = series is None and len(images) > 1
        if several or number not in images:
            arrays = {k: _largest(image, path)[:2] for k, image in images.items()}
            each = listed({k: (a.shape, letters, a.dtype) for k, (a, letters) in arrays.items()})
        if number not in images:
            raise ImageError(f"has no series {number}", where=str(path), expected=each)
        array, letters, scale, unit, notes = _largest(images[number], path)
        if several:
            notes.append(
                f"the first of {len(images)} images alone is read ({each}): another with "
                "--series NUMBER"
            )
        at = layout(tuple(array.shape), letters, override=axes, where=str(path))
        dtype = plain_type(np.dtype(array.dtype), path)
        sizes = dict(zip(letters, scale or (), strict=False))
        pixel = (sizes["Y"], sizes["X"]) if unit and "Y" in sizes and "X" in sizes else None
        depth = sizes.get("Z") if pixel else None
    said = tuple(notes)
    return Image(
        path, at, dtype, pixel, unit, "", said, MAX_BYTES, lambda i: np.asarray(array[i]), depth
    )


def _said(group: Any) -> Mapping[str, Any]:
    """What a group says of itself as OME-Zarr."""
    said = group.attrs.asdict()
    found: Mapping[str, Any] = said.get("ome", said)
    return found


def _images(node: Any) -> dict[int, Any]:
    """The images of a collection by their numbers, or the only one as number 0."""
    if not hasattr(node, "keys") or "multiscales" in _said(node):
        return {0: node}
    groups = {int(name): group for name, group in node.groups() if name.isdecimal()}
    found = {k: groups[k] for k in sorted(groups) if "multiscales" in _said(groups[k])}
    return found or {0: node}


def _largest(node: Any, path: Path) -> tuple[Any, str, list[float] | None, str, list[str]]:
    """The array of the first resolution, a letter and the step of each axis, the unit, notes."""
    if not hasattr(node, "keys"):
        names = [str(n) for n in getattr(node.metadata, "dimension_names", None) or ()]
        if len(names) == node.ndim:
            return node, _letters(names), None, "", []
        assumed = AXES[-node.ndim :] if node.ndim <= len(AXES) else ""
        return node, assumed, None, "", ["the file does not say what its axes are"]
    said = _said(node)
    if "multiscales" not in said:
        raise ImageError(
            "is a Zarr group that does not say which image it holds",
            where=str(path),
            expected="OME-Zarr's multiscales",
            found=f"arrays and groups {', '.join(sorted(node.keys())) or '(none)'}",
            remedy="Name one of its arrays",
        )
    scales = said["multiscales"][0]
    axes = [a if isinstance(a, dict) else {"name": a} for a in scales["axes"]]
    first = scales["datasets"][0]
    factors = [1.0] * len(axes)
    for moved in (scales, first):
        for how in moved.get("coordinateTransformations", ()):
            if how.get("type") == "scale":
                factors = [f * float(g) for f, g in zip(factors, how["scale"], strict=True)]
    units = {unit_name(str(a.get("unit", ""))) for a in axes if a["name"] in "yx"}
    unit = units.pop() if len(units) == 1 else ""
    return node[first["path"]], _letters([a["name"] for a in axes]), factors, unit, []


def _letters(names: Sequence[str]) -> str:
    return "".join(name[:1].upper() or "Q" for name in names)


@dataclass(frozen=True)
class Pyramid:
    """The levels of a new image; labels: whether values are names of classes."""

    levels: Sequence[Any]
    labels: bool

    def chunks(self, level: int) -> int:
        """How many chunks a level has."""
        array = self.levels[level]
        pairs = zip(array.shape, array.chunks, strict=True)
        return math.prod(-(-size // chunk) for size, chunk in pairs)

    def shrink(self, level: int, number: int) -> None:
        """Write one chunk of a level from the level before."""
        array, below = self.levels[level], self.levels[level - 1]
        pairs = list(zip(array.shape, array.chunks, strict=True))
        counts = [-(-size // chunk) for size, chunk in pairs]
        place = np.unravel_index(number, counts)
        at = tuple(
            slice(int(i) * chunk, min((int(i) + 1) * chunk, size))
            for i, (size, chunk) in zip(place, pairs, strict=True)
        )
        plane = tuple(slice(2 * s.start, 2 * s.stop) for s in at[-2:])
        array[at] = halved(below[(*at[:-2], *plane)], labels=self.labels)


def halved(part: np.ndarray, *, labels: bool) -> np.ndarray:
    """Half the rows and columns, an odd last one kept: of labels every other pixel, else means."""
    if labels:
        return part[..., ::2, ::2]
    odd = [(0, 0)] * (part.ndim - 2) + [(0, n % 2) for n in part.shape[-2:]]
    part = np.pad(part, odd, mode="edge")
    rows = part[..., ::2, :] + part[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) * part.dtype.type(0.25)


def create(
    path: Path,
    shape: Sequence[int],
    axes: str,
    chunks: Sequence[int],
    dtype: Any,
    *,
    pixel: Mapping[str, float],
    unit: str,
    name: str,
    labels: bool,
    about: Mapping[str, Any],
) -> Pyramid:
    """A new image in the folder `path`, empty as yet.

    axes: letters of AXES, in its order; pixel: the step of axes where it is known, in `unit`;
    about: how the image came about, kept with it.
    """
    import zarr

    group: Any = zarr.open_group(str(path), mode="w", zarr_format=3)
    levels, datasets = [], []
    names = [letter.lower() for letter in axes]
    for level in itertools.count():
        levels.append(
            group.create_array(
                str(level), shape=shape, chunks=chunks, dtype=dtype, dimension_names=names
            )
        )
        grown = [2.0**level if a in "YX" else 1.0 for a in axes]
        steps = [g * pixel.get(a, 1.0) for g, a in zip(grown, axes, strict=True)]
        moves: list[dict[str, Any]] = [{"type": "scale", "scale": steps}]
        if level and not labels:  # a mean lies in the middle of what it is of
            shifts = [(g - 1) / 2 * pixel.get(a, 1.0) for g, a in zip(grown, axes, strict=True)]
            moves.append({"type": "translation", "translation": shifts})
        datasets.append({"path": str(level), "coordinateTransformations": moves})
        if max(shape[-2:]) <= LEAST:
            break
        shape = (*shape[:-2], *(-(-n // 2) for n in shape[-2:]))
    spaces = {"unit": _UNITS[unit]} if unit in _UNITS else {}
    described = [
        {"name": a.lower(), "type": TYPES.get(a, "space")}
        | (spaces if a in pixel and a not in TYPES else {})
        for a in axes
    ]
    multiscale = {"name": name, "axes": described, "datasets": datasets}
    multiscale["type"] = "nearest" if labels else "mean"
    group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    group.attrs["demitasse"] = dict(about)
    return Pyramid(levels, labels)


def reopen(path: Path, *, labels: bool) -> Pyramid:
    """The levels of an image that `create` made, to be written."""
    import zarr

    group: Any = zarr.open_group(str(path), mode="r+")
    scales = group.attrs["ome"]["multiscales"][0]
    return Pyramid([group[d["path"]] for d in scales["datasets"]], labels)
