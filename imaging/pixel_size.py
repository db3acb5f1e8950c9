"""The size of a pixel, as different programs write it down.

    ImageJ   XResolution, YResolution = pixels per unit; the unit is a word in the description
    OME      PhysicalSizeX, PhysicalSizeY and their units in the XML, micrometres where not said
    TIFF     XResolution, YResolution per inch or centimetre; kept in micrometres

Sizes per inch in ImageJ's files, and all of plain TIFF, count below 20 um only: coarser ones, like
72 per inch, are meant for a printer.

A size is (y, x).  Units are spelt as in UNITS; other words stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .ome_xml import pixels

Size = tuple[tuple[float, float] | None, str]

UNITS = {
    "um": 1.0,
    "angstrom": 1e-4,
    "pm": 1e-6,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
    "dm": 1e5,
    "m": 1e6,
    "inch": 25_400.0,
}  # in micrometres
_SPELLINGS = {
    "um": ("micron", "microns", "µm", "μm", "\\u00b5m"),
    "angstrom": ("å", "angstroms", "ångström", "\\u00c5"),
    "inch": ("in", "inches"),
}
_PREFIXES = {"pico": "pm", "nano": "nm", "micro": "um", "milli": "mm", "centi": "cm", "deci": "dm"}
_METRE = re.compile(r"(.*)met(?:er|re)s?")
_NO_SIZE = ("", "pixel", "pixels", "reference frame")
_PRINTED = 20.0  # micrometres
_MICROMETRES = {2: UNITS["inch"], 3: UNITS["cm"]}  # by ResolutionUnit


def unit_name(text: str) -> str:
    """The unit in our spelling: "µm", "micron" and the like become "um"."""
    word = text.strip().lower()
    metre = _METRE.fullmatch(word)
    if metre and metre[1] in (*_PREFIXES, ""):
        return _PREFIXES.get(metre[1], "m")
    if word in UNITS:
        return word
    return next((ours for ours, theirs in _SPELLINGS.items() if word in theirs), text.strip())


def micrometres(size: Sequence[float] | None, unit: str) -> tuple[float, ...] | None:
    """A size in micrometres; None where the size or the unit is unknown."""
    factor = UNITS.get(unit_name(unit))
    return None if size is None or factor is None else tuple(factor * s for s in size)


def from_imagej(metadata: dict[str, Any], x: Any, y: Any) -> Size:
    """From ImageJ's description and the resolution tags' values; none for the unit "pixel"."""
    unit = unit_name(str(metadata.get("unit", "")))
    height, width = _inverse(y), _inverse(x)
    if unit in _NO_SIZE or height is None or width is None:
        return None, ""
    # ImageJ takes this unit from files that have none but a printer's
    if unit == "inch" and UNITS[unit] * max(height, width) >= _PRINTED:
        return None, ""
    return (height, width), unit


def from_ome(xml: str, number: int | None = None) -> Size:
    """From OME-XML: of image `number`, or what all of them have in common."""
    sizes = [_plane(said) for said in pixels(xml)]
    if number is not None and number < len(sizes):
        return sizes[number]
    return sizes[0] if len(set(sizes)) == 1 else (None, "")


def _plane(said: Mapping[str, str]) -> Size:
    """From a Pixels element; in micrometres where its axes have unlike units."""
    x, y = (_length(said, axis) for axis in "XY")
    unit, other = _unit(said, "X"), _unit(said, "Y")
    if x is None or y is None or unit in _NO_SIZE:
        return None, ""
    if other == unit:
        return (y, x), unit
    if other not in UNITS or unit not in UNITS:
        return None, ""
    return (UNITS[other] * y, UNITS[unit] * x), "um"


def _unit(said: Mapping[str, str], axis: str) -> str:
    return unit_name(said.get(f"PhysicalSize{axis}Unit", "um"))


def _length(said: Mapping[str, Any], axis: str) -> float | None:
    """The positive size along an axis; None where there is none."""
    try:
        found = float(said[f"PhysicalSize{axis}"])
    except (KeyError, TypeError, ValueError):
        return None
    return found if 0 < found < float("inf") else None


def depth(imagej: dict[str, Any], ome: str, unit: str) -> float | None:
    """The distance between slices in `unit`, from ImageJ's description or OME-XML."""
    of_ome = pixels(ome)
    if not of_ome:
        return _length({"PhysicalSizeZ": imagej.get("spacing", "")}, "Z")
    found, other = _length(of_ome[0], "Z"), _unit(of_ome[0], "Z")
    if found is None or other == unit:
        return found
    return found * UNITS[other] / UNITS[unit] if {unit, other} <= set(UNITS) else None


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
