"""The pages of image and label files as `pack.py` sees them, and whether they fit together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, counted
from ._batch import say_notes, say_passed_over
from ._frames import frame_of, spans
from ._pack_names import alone, compare

if TYPE_CHECKING:
    from ..imaging.image import Image
    from ..imaging.pixel_size import Size
    from ..imaging.recognise import Survey

FEW = 16  # values of images that may be labels
MIDDLE = 1024  # pixels along each axis that are looked at to tell them apart


def read(
    paths: Sequence[str],
    axes: str | None,
    *,
    channels: Sequence[int] | None = None,
    one: bool = False,
) -> Pages:
    """The pages of image files.  channels: which of them; one: of label images, which have one."""
    from ..imaging import tiff

    say_passed_over(paths)
    files = [tiff.read(path, axes=axes, channels=channels) for path in tiff.find(paths)]
    return Pages(files, _single if one else _whole)


def read_labels(paths: Sequence[str], axes: str | None, images: Pages) -> Pages:
    """The pages of label files; selections of ImageJ are drawn as large as the images, which they
    are paired with in their order."""
    from ..imaging import roi_labels, tiff

    say_passed_over(paths)
    found = tiff.find(paths, roi_labels.SUFFIXES)
    drawn = [roi_labels.is_named(path) for path in found]
    if any(drawn) and len(found) != len(images.files):
        raise DataError(
            "images and files of ImageJ's selections do not come in pairs",
            expected=f"one .zip for each of {counted(len(images.files), 'image file')}",
            found=counted(len(found), "file"),
            remedy=_lonely([f.path for f in images.files], found),
        )
    of = images.files if any(drawn) else [None] * len(found)
    files = [
        roi_labels.read_rois(path, image) if roi and image else tiff.read(path, axes=axes)
        for path, roi, image in zip(found, drawn, of, strict=True)
    ]
    return Pages(files, _single)


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

    both = "--label-axes, and of the images with --axes"  # of one kind, they were misread alike
    return one_channel(image.page(i), f"{image.path}, page {i}", image.axes, both)


def check_pairs(images: Pages, labels: Pages, what: str = "labels") -> None:
    """Refuse images and labels that do not fit together, from their headers alone."""
    if len(images) != len(labels):
        raise DataError(
            f"images and {what} do not come in pairs",
            expected=f"as many label slices as image slices, {_listing(images)}",
            found=_listing(labels),
            remedy=_unpaired(images, labels)
            or "If channels were read as slices or slices as channels, say what the axes are: "
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


def check_swapped(images: Pages, labels: Pages) -> None:
    """Refuse labels that look like images where the images look like labels."""
    seen = _survey(labels)
    if not (seen.fractions or seen.scattered):
        return
    looked = _survey(images)
    objects = looked.seen and 4 * looked.single >= 3 * looked.seen
    if looked.fractions or not (len(looked.values) <= FEW or objects):
        return
    raise DataError(
        "these labels look like an image",
        where=str(labels.files[0].path),
        expected="few values, or objects of one piece each"
        f"; {images.files[0].path} has {'such objects' if objects else 'few values'}",
        found="fractions" if seen.fractions else f"{len(seen.values)} values in scattered pixels",
        remedy="Are --images and --labels swapped?",
    )


def _survey(pages: Pages) -> Survey:
    """The values in the middle of three pages' first channel."""
    from ..imaging.recognise import Survey

    seen = Survey()
    for k in sorted({0, len(pages) // 2, len(pages) - 1}):
        page = np.asarray(pages[k])
        page = page if page.ndim == 2 else page[0]
        middle = tuple(slice(max(0, n - MIDDLE) // 2, (n + MIDDLE) // 2) for n in page.shape)
        seen.add(np.nan_to_num(page[middle]), pages.names[k])
    return seen


def compare_names(images: Pages, labels: Pages, what: str, *, in_order: bool) -> None:
    """Say which files are pairs; refuse them where their names clearly say otherwise."""
    if len(images.files) != len(labels.files):
        return
    pairs = list(zip(images.files, labels.files, strict=True))
    found = compare([f.path for f in images.files], [f.path for f in labels.files])
    if found.differ is not None and not in_order:
        image, label = (f.path for f in pairs[found.differ])
        if found.sure:
            raise DataError(
                "this file's name does not fit the image that it is paired with",
                where=str(label),
                expected=f"{found.partner} for {image}"
                if found.partner
                else f"a name that fits {image}, as the names of other {what} fit theirs",
                found=label.name,
                remedy="Files are paired in their order: add the one that is missing, leave out "
                "the one that is alone, or rename them; if these are pairs all the same, give "
                "--in-order",
            )
        why = "their names differ by a number; is that meant so?"
        if found.shifted:
            why = "the numbers of all pairs differ so; is one side counted from another number?"
        elif len(pairs) > 1:
            why = "their names differ, those of other pairs agree; is that meant so?"
        print(f"warning: {image.name} with {label.name}: {why}")
    if len(pairs) > 1:
        words = [f"{image.path.name} with {label.path.name}" for image, label in pairs]
        listed = f"{words[0]} ... {words[-1]}" if len(words) > 3 else ", ".join(words)
        if in_order:
            how = "as --in-order says, their names were not compared"
        elif found.agree:
            how = "their names agree"
        else:
            how = "by their order alone" + ("" if found.differ else ", for the names tell nothing")
        print(f"pairs: {listed}; {how}")


def _unpaired(images: Pages, labels: Pages) -> str:
    """Which files have no partner, as a remedy; nothing where it cannot be told."""
    if len(images.files) == len(labels.files):
        for image, label in zip(images.files, labels.files, strict=True):
            if len(image) != len(label) and len(images.files) > 1:
                return (
                    f"{image.path} has {counted(len(image), 'slice')}, {label.path} "
                    f"{counted(len(label), 'slice')}: are they a pair?"
                )
    elif len({len(f) for f in (*images.files, *labels.files)}) == 1:
        return _lonely([f.path for f in images.files], [f.path for f in labels.files])
    return ""


def _lonely(images: Sequence[Path], labels: Sequence[Path]) -> str:
    """Which files' names have no partner, as a remedy; nothing where it cannot be told."""
    lonely = alone(images, labels)
    if not lonely:
        return ""
    more = f" and {counted(len(lonely) - 3, 'other file')}" if len(lonely) > 3 else ""
    return (
        f"Nothing is paired with {', '.join(map(str, lonely[:3]))}{more}: add what is "
        "missing, or leave that out"
    )


def _listing(pages: Pages) -> str:
    first = pages.files[0]
    rest = len(pages.files) - 1
    more = f" and {counted(rest, 'more file')}" if rest else ""
    return f"{len(pages)} in {first.path}{more} ({first.layout.words()})"


def choose(
    slices: tuple[int, ...] | None, names: Sequence[str], sides: Sequence[Pages]
) -> list[int]:
    """The places of the slices (or volumes, called `names`) that are asked for, which is said.

    They are asked for by the numbers in the names of the files, as evaluate has it, where each of
    several files holds one and has a number of its own, the same on all sides; else counted from 0.
    """
    if slices is None:
        return list(range(len(names)))
    told = [[frame_of(file.path) for file in side.files] for side in sides]
    numbers, how = list(range(len(names))), "counted from 0"
    own = [n for n in told[0] if n is not None]
    if len(own) == len(set(own)) == len(names) > 1 and all(each == own for each in told):
        numbers, how = own, "by the numbers in the files' names"
    missing = [n for n in slices if n not in numbers]
    if missing:
        raise DataError(
            "--slices asks for a slice that is not there",
            expected=f"{spans(sorted(numbers))}, {how}",
            found=missing[-1],
        )
    chosen = [numbers.index(n) for n in slices]
    listed = [names[i] for i in chosen]
    words = f"{listed[0]} ... {listed[-1]}" if len(listed) > 3 else ", ".join(listed)
    print(f"slices: {words}; {len(listed)} of {len(names)}, {how}")
    return chosen


def describe(what: str, pages: Pages) -> None:
    """Say how files were read, so that a wrong reading is seen before hours of training."""
    for file in pages.files[:3]:
        print(f"{what}: {file.path}: {file.summary(notes=False)}")
    if len(pages.files) > 3:
        print(f"{what}: ... {len(pages.files)} files, {counted(len(pages), 'slice')} in all")
    say_notes({file.path: file.notes for file in pages.files})


def pixel_size(
    images: Pages, told: tuple[float, float] | None
) -> tuple[tuple[float, float] | None, str]:
    """The pixel size that was told (um), or the images' common one, if there is one."""
    if told is not None:
        return told, "um"
    sizes = list(dict.fromkeys((file.pixel_size, file.unit) for file, _ in images.pages))
    if not all(_same(size, sizes[0]) for size in sizes):
        print(
            "warning: the images have different pixel sizes; give --pixel-size to have one recorded"
        )
        return None, ""
    return sizes[0]


def _same(one: Size, other: Size) -> bool:
    """Whether two pixel sizes are equal but for their units and rounding."""
    from ..imaging.pixel_size import micrometres

    mine, yours = micrometres(*one), micrometres(*other)
    if mine is None or yours is None:
        return one == other
    return bool(np.allclose(mine, yours, rtol=1e-4, atol=0))


def sources(pages: Pages) -> list[dict[str, Any]]:
    """Names and checksums of the files in use."""
    used = {id(file): file for file, _ in pages.pages}.values()
    return [{"name": file.path.name, "sha256": _sha256(file.path)} for file in used]


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
