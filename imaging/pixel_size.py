"""The size of a pixel, as different programs write it down.

    ImageJ   XResolution, YResolution = pixels per unit; the unit is a word in the description
    OME      PhysicalSizeX, PhysicalSizeY and their units in the XML, micrometres where not said
    TIFF     XResolution, YResolution per inch or centimetre; kept in micrometres, and only below
             20 um: coarser ones, like 72 per inch, are meant for a printer

A size is (y, x).  Units are spelt "nm", "um", "mm", "cm", "inch"; other words stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .ome_xml import pixels

Size = tuple[tuple[float, float] | None, str]

_SPELLINGS = {
    "um": ("um", "micron", "microns", "micrometer", "micrometre", "µm", "μm", "\\u00b5m"),
    "nm": ("nm", "nanometer", "nanometre", "nanometers"),
    "mm": ("mm", "millimeter", "millimetre"),
    "cm": ("cm", "centimeter", "centimetre"),
    "inch": ("inch", "in", "inches"),
}
_PRINTED = 20.0  # micrometres
_IN_MICROMETRES = {"um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "inch": 25_400.0}
_MICROMETRES = {2: 25_400.0, 3: 10_000.0}  # by ResolutionUnit: inch, centimetre


def unit_name(text: str) -> str:
    """The unit in our spelling: "µm", "micron" and the like become "um"."""
    word = text.strip().lower()
    return next((ours for ours, theirs in _SPELLINGS.items() if word in theirs), text.strip())


def micrometres(size: Sequence[float] | None, unit: str) -> tuple[float, ...] | None:
    """A size in micrometres; None where the size or the unit is unknown."""
    factor = _IN_MICROMETRES.get(unit_name(unit))
    return None if size is None or factor is None else tuple(factor * s for s in size)


def from_imagej(metadata: dict[str, Any], x: Any, y: Any) -> Size:
    """From ImageJ's description and the resolution tags' values; none for the unit "pixel"."""
    unit = unit_name(str(metadata.get("unit", "")))
    size = _inverse(y), _inverse(x)
    if unit in ("", "pixel", "pixels") or size[0] is None or size[1] is None:
        return None, ""
    return (size[0], size[1]), unit


def from_ome(xml: str, number: int | None = None) -> Size:
    """From OME-XML: of image `number`, or what all of them have in common."""
    sizes = [_plane(said) for said in pixels(xml)]
    if number is not None and number < len(sizes):
        return sizes[number]
    return sizes[0] if len(set(sizes)) == 1 else (None, "")


def _plane(said: Mapping[str, str]) -> Size:
    """From a Pixels element."""
    x, y = (_length(said, axis) for axis in "XY")
    if x is None or y is None:
        return None, ""
    unit, other = (unit_name(said.get(f"PhysicalSize{axis}Unit", "um")) for axis in "XY")
    if other != unit and x != y:
        return None, ""
    return (y, x), unit


def _length(said: Mapping[str, Any], axis: str) -> float | None:
    """The positive size along an axis; None where there is none."""
    try:
        found = float(said[f"PhysicalSize{axis}"])
    except (KeyError, ValueError):
        return None
    return found if 0 < found < float("inf") else None


def depth(imagej: dict[str, Any], ome: str, unit: str) -> float | None:
    """The distance between slices in `unit`, from ImageJ's description or OME-XML."""
    of_ome = pixels(ome)
    if not of_ome:
        return _length({"PhysicalSizeZ": imagej.get("spacing", "")}, "Z")
    if unit_name(of_ome[0].get("PhysicalSizeZUnit", "um")) != unit:
        return None
    return _length(of_ome[0], "Z")


def from_tags(unit: Any, x: Any, y: Any) -> Size:
    """From the plain resolution tags."""
    factor = _MICROMETRES.get(int(unit or 0))
    width, height = _inverse(x), _inverse(y)
    if factor is None or width is None or height is None:
        return None, ""
    width, height = factor * width, factor * height
    return ((height, width), "um") if max(height, width) < _PRINTED else (None, "")


def _inverse(resolution: Any) -> float | None:
    """1 / a TIFF rational (numerator, denominator); None where that says nothing."""
    try:
        above, below = resolution
        return float(below) / float(above) if above > 0 and below > 0 else None
    except (TypeError, ValueError):
        return None
