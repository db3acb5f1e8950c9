"""A list of images and labels: `folder/cat.png 3`, one a line, the label after the last blank.

Caffe takes whatever follows the last blank for a number (0 where it is none); here a line without a
whole number is refused.  DataError.  Source: Caffe's src/caffe/layers/image_data_layer.cpp.
"""

from __future__ import annotations

import os

from .. import h5
from ..errors import DataError

_MOST = (1 << 31) - 1


def read_text(path: str, what: str) -> str:
    """A text file's content, file names in it as the system spells them."""
    h5.file_size(path)
    with open(path, "rb") as file:
        content = file.read()
    if b"\0" in content:
        raise DataError("is not a text file", where=path, expected=what)
    return os.fsdecode(content)


def read_image_list(path: str) -> list[tuple[str, int]]:
    """(name, label) of every line."""
    what = "lines such as: folder/cat.png 3"
    entries = []
    for number, line in enumerate(read_text(path, what).split("\n"), 1):
        name, _, label = line.rstrip("\r").rpartition(" ")
        if not line.strip():
            continue
        try:
            value = int(label)
        except ValueError:
            value = _MOST + 1
        if not name.strip() or abs(value) > _MOST:
            raise DataError(
                "does not name an image and its label",
                where=f"{path}:{number}",
                expected=what,
                found=line.rstrip("\r"),
                remedy="Write a 0 behind each name if there are no labels",
            )
        entries.append((name, value))
    if not entries:
        raise DataError("names no image", where=path, expected=what)
    return entries
