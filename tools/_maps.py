"""Label images as the commands that take them apart read them."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from itertools import filterfalse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OutputError, counted
from ._batch import first_names
from ._results import parted

if TYPE_CHECKING:
    from ..imaging.image import Image
    from ..imaging.recognise import Survey

# what `deploy` writes as NAME.labels.tif and NAME.instances.tif
KINDS = {"labels": "classes", "instances": "instances"}


def kind_named(path: Path) -> str:
    """What the values are, told from a name that `deploy` gives: classes or instances, else ""."""
    return KINDS.get(parted(path)[1], "")


def image_of(path: Path) -> Path:
    """The path, without its suffix, of the image that a label image belongs to."""
    return path.with_name(parted(path)[0])


def find_maps(patterns: Sequence[str], suffixes: Sequence[str] = ()) -> list[Path]:
    """The label images of paths, folders and patterns: where some are named as `deploy` names
    them, these alone, and of an image that has both the objects, not the classes.  What is left
    out is said on stderr.  suffixes: others that a folder without images is asked for.

    They come as they are named, but in natural order where that is how a shell puts them."""
    from ..imaging import tiff

    found = tiff.find(patterns, suffixes)
    if found == sorted(found, key=str):
        found.sort(key=tiff.natural)
    apart = {image_of(p) for p in found if kind_named(p) == "instances"}

    def best(path: Path) -> bool:
        kind = kind_named(path)
        return kind == "instances" or bool(kind and image_of(path) not in apart)

    chosen, others = list(filter(best, found)), list(filterfalse(best, found))
    if not chosen or not others:
        return found
    taken = f"{counted(len(chosen), 'label image')} taken ({first_names(chosen)})"
    left = f"{counted(len(others), 'other file')} left out ({first_names(others)})"
    print(f"{taken}, {left}", file=sys.stderr)
    return chosen


def kind_told(image: Image) -> str:
    """What a map's values are: classes or instances, else "".

    ImageJ's selections are objects.  Else that is what `deploy` wrote into it.  Of a name without
    this only NAME.instances.tif counts: labels are classes to some programs and objects to
    others."""
    from ..imaging import roi_labels

    if roi_labels.is_named(image.path):
        return "instances"
    if wrote := re.search(r"demitasse \S+: (labels|instances) of ", image.description):
        return KINDS[wrote[1]]
    kind = kind_named(image.path)
    return kind if kind == "instances" else ""


def surveyed(image: Image) -> Survey:
    """The values of a map's first pages."""
    from ..imaging.recognise import LOOKED_AT, Survey

    survey = Survey()
    for page in range(min(len(image), LOOKED_AT)):
        survey.add(plane(image, page), f"{image.path}, page {page}")
    return survey


def plane(image: Image, page: int) -> np.ndarray:
    """A page as whole numbers (height, width)."""
    from ..data.labels import whole_numbers
    from ..imaging.image import one_channel

    where = f"{image.path}, page {page}"
    return whole_numbers(one_channel(image.page(page), where, image.axes), where=where)


def refuse_of_classes(args: Any, where: str, remedy: str) -> None:
    """Raise OutputError for an option that makes objects of classes, of a map that has objects."""
    for name in ("connectivity", "fill_holes"):
        if getattr(args, name) is not None:
            raise OutputError(
                f"--{name.replace('_', '-')} is for maps of classes",
                where=where,
                found="a map of objects",
                remedy=remedy,
            )
