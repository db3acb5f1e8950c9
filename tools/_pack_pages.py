"""The pages of image and label files as `pack.py` sees them, and whether they fit together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from ..imaging.image import Image


def read(paths: Sequence[str], axes: str | None, one: bool) -> Pages:
    """The pages of image files; one: of label images, which have one channel."""
    from ..imaging import tiff

    return Pages([tiff.read(p, axes=axes) for p in tiff.find(paths)], _single if one else _whole)


def origin(images: Pages, labels: Pages | None, slices: tuple[int, ...] | None) -> dict[str, Any]:
    """Where the data came from."""
    record = {"images": sources(images)}
    if labels is not None:
        record["labels"] = sources(labels)
    return {"sources": record, "slices": list(slices) if slices else "all"}


class Pages(Sequence[np.ndarray]):
    """The pages of several files in a row, read when they are asked for."""

    def __init__(
        self,
        files: Sequence[Image],
        convert: Callable[[Image, int], np.ndarray],
        pages: Sequence[tuple[Image, int]] | None = None,
    ) -> None:
        self.files, self._convert = files, convert
        self.pages = [(f, k) for f in files for k in range(len(f))] if pages is None else pages

    def __len__(self) -> int:
        return len(self.pages)

    def __getitem__(self, i: int) -> np.ndarray:  # type: ignore[override]  # no slices needed
        return self._convert(*self.pages[i])

    def only(self, chosen: Sequence[int]) -> Pages:
        return Pages(self.files, self._convert, [self.pages[i] for i in chosen])

    @property
    def names(self) -> list[str]:
        return [f"{f.path}, page {k}" if len(f) > 1 else str(f.path) for f, k in self.pages]


def _whole(image: Image, i: int) -> np.ndarray:
    return image.page(i)


def _single(image: Image, i: int) -> np.ndarray:
    from ..imaging.image import one_channel

    return one_channel(image.page(i), f"{image.path}, page {i}", image.axes)


def check_pairs(images: Pages, labels: Pages, what: str = "labels") -> None:
    """Refuse images and labels that do not fit together, from their headers alone."""
    if len(images) != len(labels):
        raise DataError(
            f"images and {what} do not come in pairs",
            expected=f"as many label slices as image slices, {_listing(images)}",
            found=_listing(labels),
            remedy="If channels were read as slices or slices as channels, say what the axes are: "
            "--axes and --label-axes, for example ZYX",
        )
    for (image, i), (label, j) in zip(images.pages, labels.pages, strict=True):
        if image.shape[2:] != label.shape[2:]:
            raise DataError(
                "image and label image have different sizes (height, width)",
                where=f"{label.path}, page {j}",
                expected=f"{image.shape[2:]} as in {image.path}, page {i}",
                found=label.shape[2:],
            )


def _listing(pages: Pages) -> str:
    first = pages.files[0]
    more = f" and {len(pages.files) - 1} more files" if len(pages.files) > 1 else ""
    return f"{len(pages)} in {first.path}{more} ({first.layout.words()})"


def choose(slices: tuple[int, ...] | None, count: int) -> tuple[int, ...]:
    if slices is None:
        return tuple(range(count))
    if not slices or max(slices) >= count:
        raise DataError(
            "--slices asks for a slice that is not there",
            expected=f"0 to {count - 1}",
            found=max(slices, default="none"),
        )
    return slices


def describe(what: str, pages: Pages) -> None:
    """Say how files were read, so that a wrong reading is seen before hours of training."""
    for file in pages.files[:3]:
        print(f"{what}: {file.path}: {file.summary()}")
    if len(pages.files) > 3:
        print(f"{what}: ... {len(pages.files)} files, {len(pages)} slices in all")


def pixel_size(images: Pages) -> tuple[tuple[float, float] | None, str]:
    """The images' common pixel size, if there is one."""
    sizes = {(file.pixel_size, file.unit) for file, _ in images.pages}
    if len(sizes) > 1:
        print("warning: the images have different pixel sizes; none is recorded")
        return None, ""
    return sizes.pop()


def sources(pages: Pages) -> list[dict[str, Any]]:
    """Names and checksums of the files in use."""
    used = {id(file): file for file, _ in pages.pages}.values()
    return [{"name": file.path.name, "sha256": _sha256(file.path)} for file in used]


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
