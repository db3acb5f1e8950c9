"""Objects that a person marked by a point: from a table, or from ImageJ's multi-point selections.

    cells.csv                   a head, and a line for each point; commas, semicolons or tabs
        x, y                    pixels from 0; the middle of the first pixel is 0
        slice                   the page, from 1, as ImageJ counts (where left out: 1)
        class                   its number from 1, or its name (where left out: 1)
    cells.roi, cells.zip        point selections that ImageJ saved; the class is the selection's
                                name up to a # or a -, where it is one of the classes, and else 1;
                                in ImageJ the middle of the first pixel is 0.5

Other columns are not looked at, so ImageJ's own table of results can be given, if it is in pixels.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DataError, did_you_mean


class Mark(NamedTuple):
    """page: from 0; class_: from 1."""

    page: int
    class_: int
    y: float
    x: float


def read(path: str | Path, class_names: Sequence[str]) -> list[Mark]:
    """The points of a file; class_names: the background's first, for files that use names."""
    path = Path(path)
    if path.suffix.lower() in (".roi", ".zip"):
        marks = list(_rois(path, class_names))
    else:
        marks = list(_table(path, class_names))
    if not marks:
        raise DataError("there is no point in it", where=str(path))
    return marks


def _table(path: Path, class_names: Sequence[str]) -> Iterator[Mark]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("is no table of points", where=str(path), found="no text") from error
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=str(path)) from error
    first = text.partition("\n")[0]
    mark = max(",;\t", key=first.count)
    rows = csv.reader(text.splitlines(), delimiter=mark)
    head = [name.strip().lower() for name in next(rows, [])]
    missing = [name for name in ("x", "y") if name not in head]
    if missing:
        raise DataError(
            "is no table of points",
            where=f"{path}:1",
            expected="a head with x and y",
            found=", ".join(filter(None, head)) or "nothing",
        )
    for number, row in enumerate(rows, 2):
        if not any(cell.strip() for cell in row):
            continue
        cells = dict(zip(head, (cell.strip() for cell in row), strict=False))
        where = f"{path}:{number}"
        yield Mark(
            int(_number(cells, "slice", where, 1)) - 1,
            class_of(cells.get("class") or "1", class_names, where),
            _number(cells, "y", where),
            _number(cells, "x", where),
        )


def _number(cells: dict[str, str], name: str, where: str, default: float | None = None) -> float:
    text = cells.get(name, "")
    if not text and default is not None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"its {name} is no number", where=where, found=text or "nothing")
    return value


def class_of(text: str, class_names: Sequence[str], where: str) -> int:
    """The number of a class from its number or name."""
    names = list(class_names)[1:]
    if text in names:
        return names.index(text) + 1
    if re.fullmatch(r"\d+", text) and 1 <= int(text) <= max(len(names), 1):
        return int(text)
    raise DataError(
        f"there is no class '{text}'",
        where=where,
        expected=f"1 to {len(names)}, or {', '.join(names)}" if names else "1",
        remedy=did_you_mean(text, names) or "--class-names tells them, the background's first",
    )


def _rois(path: Path, class_names: Sequence[str]) -> Iterator[Mark]:
    try:
        import roifile
    except ImportError:
        raise DataError(
            "ImageJ's selections need the library roifile, which is not installed",
            where=str(path),
            remedy="pip install 'demitasse[rois]', or save the points as a table",
        ) from None
    try:
        found = roifile.roiread(path)
    except Exception as error:  # whatever a damaged file makes of the reader
        raise DataError(
            f"cannot be read as ImageJ's selections ({error})", where=str(path)
        ) from error
    for roi in found if isinstance(found, list) else [found]:
        if roi.roitype != roifile.ROI_TYPE.POINT:
            raise DataError(
                f"the selection '{roi.name}' is no point",
                where=str(path),
                remedy="Objects with an outline belong into the label images",
            )
        named = re.split(r"[#-]", roi.name or "")[0].strip()
        class_ = list(class_names).index(named) if named in list(class_names)[1:] else 1
        pages: Iterable[int] = roi.counter_positions if roi.counter_positions is not None else ()
        corners = np.asarray(roi.coordinates()).tolist()
        places = list(pages) or [max(roi.position or roi.z_position, 1)] * len(corners)
        for (x, y), page in zip(corners, places, strict=True):
            yield Mark(max(int(page), 1) - 1, class_, y - 0.5, x - 0.5)
