"""The OME-XML of a TIFF file: how large a pixel is, and which of the planes it names lie where.

An image of OME may lie in several files, and every one of them names the planes of all.  A file is
read by itself: its XML is reduced to the planes that it holds, so that no other file is opened.

Source: https://docs.openmicroscopy.org/ome-model/6.3.1/ome-tiff/specification.html
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Sized
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ..errors import ImageError
from .image import cut_off


def pixels(xml: str) -> list[dict[str, str]]:
    """The attributes of each image's Pixels element; none where the XML cannot be read."""
    root = _root(xml)
    return [] if root is None else [dict(found.attrib) for found in _all(root, "Pixels")]


def own(xml: str, path: Path, pages: Sized) -> tuple[str, bool]:
    """The XML of what lies in the file `path` itself, and whether more lies in others.

    pages: the file's.  Raises ImageError where the file has not the pages that it should, or holds
    a part of an image that fills none of its axes.
    """
    root = _root(xml)
    if root is None:
        return xml, False
    named = {file for data in _all(root, "TiffData") if (file := _file(data)) is not None}
    uuids = {uuid for uuid, _ in named}
    known, called = root.get("UUID"), {u for u, name in named if name == path.name.lower()}
    if uuids <= ({known} if known else called):
        return xml, False
    # the last where the file was given another name, or written anew with the old XML
    mine = (uuids & {known}) or called or (uuids if len(uuids) == 1 else set())
    for image in [child for child in root if _tag(child) == "Image"]:
        for found in _all(image, "Pixels"):
            every = _all(found, "TiffData")
            here = [data for data in every if (file := _file(data)) is None or file[0] in mine]
            if every and not here:
                root.remove(image)
            elif every:
                _reduce(found, every, here, path, len(pages))
    # tifffile knows OME-XML by its end
    own_xml = ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)
    return own_xml, not uuids <= mine


def grid(cells: Sequence[int], lengths: Sequence[int]) -> list[np.ndarray]:
    """The indices along each axis of some cells, in order, of an array of `lengths`; an empty list
    where they fill no part of it that is cut along its axes."""
    places = np.unravel_index(np.asarray(cells, np.intp), tuple(lengths))
    along = [np.unique(place) for place in places]
    return along if math.prod(map(len, along)) == len(cells) else []


def refuse_part(found: int, whole: int, path: Path) -> ImageError:
    """The refusal of a part that `grid` finds none in."""
    return ImageError(
        "holds a part of an image that lies in several files, and the part fills none of its axes",
        where=str(path),
        found=f"{found} of {whole} planes",
        remedy="Open all of them in Fiji, and save the image in one file, or in one for each time",
    )


def _reduce(
    found: ElementTree.Element,
    every: Sequence[ElementTree.Element],
    here: Sequence[ElementTree.Element],
    path: Path,
    pages: int,
) -> None:
    """Let a Pixels element name its planes of one file alone."""
    axes = found.attrib["DimensionOrder"][:1:-1]  # the fastest last
    channels = _all(found, "Channel")
    samples = int(channels[0].get("SamplesPerPixel", 1)) if channels else 1
    spread = {"C": samples}
    lengths = [int(found.attrib[f"Size{axis}"]) // spread.get(axis, 1) for axis in axes]
    stored: dict[int, int] = {}  # planes in the order of the axes, and the pages they lie in
    for data in here:
        ifd = int(data.get("IFD", 0))
        count = int(data.get("PlaneCount", data.get("NumPlanes", int("IFD" in data.attrib))))
        if ifd < 0 or ifd + (count or pages) > pages:
            raise cut_off(path, f"{pages} pages", f"{ifd + (count or pages)}")
        first = [int(data.get(f"First{axis}", 0)) for axis in axes]
        start = int(np.ravel_multi_index(first, lengths))
        stored.update({start + k: ifd + k for k in range(count or pages)})
    cells = sorted(stored)
    along = grid(cells, lengths)
    if not along:
        raise refuse_part(len(cells), math.prod(lengths), path)
    for data in every:
        found.remove(data)
    for axis, places in zip(axes, along, strict=True):
        found.set(f"Size{axis}", str(len(places) * spread.get(axis, 1)))
    for at, cell in zip(np.ndindex(*map(len, along)), cells, strict=True):
        said = {f"First{axis}": str(i) for axis, i in zip(axes, at, strict=True)}
        said |= {"IFD": str(stored[cell]), "PlaneCount": "1"}
        ElementTree.SubElement(found, every[0].tag, said)


def _root(xml: str) -> ElementTree.Element | None:
    try:
        return ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError):
        return None


def _all(element: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    return [child for child in element.iter() if _tag(child) == tag]


def _tag(element: ElementTree.Element) -> str:
    """Without its namespace; comments have none."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _file(data: ElementTree.Element) -> tuple[str, str] | None:
    """UUID and name of the file that planes lie in; None where nothing is said."""
    for child in data:
        if _tag(child) == "UUID":
            return (child.text or "").strip(), child.get("FileName", "").lower()
    return None
