"""Label images as the commands that take them apart read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OutputError

if TYPE_CHECKING:
    from ..imaging.image import Image
    from ..imaging.recognise import Survey

# what `deploy` writes as NAME.labels.tif and NAME.instances.tif
KINDS = {"labels": "classes", "instances": "instances"}


def kind_named(path: Path) -> str:
    """What the values are, told from a name that `deploy` gives: classes or instances, else ""."""
    return KINDS.get(Path(path.stem).suffix[1:], "")


def kind_told(image: Image) -> str:
    """What a map's values are: classes or instances, else "".

    That is what `deploy` wrote into it.  Of a name without this only NAME.instances.tif counts:
    labels are classes to some programs and objects to others."""
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
