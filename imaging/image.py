"""An image file that has been understood but not yet read, and the words in which it is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..errors import DemitasseError, ImageError, MemoryBudgetError
from .axes import Layout

MAX_BYTES = 16 << 30  # of a page, or of all pages at once, where nothing else is said

_LISTED = 8  # images of a file

# deflate packs at most about 1030 to 1: more says that the pixels were never stored
_BOMB_BYTES, _BOMB_RATIO = 256 << 20, 1200

Plane = Callable[[tuple[int | slice, ...]], np.ndarray]


@dataclass(frozen=True)
class Image:
    """An image file, understood but not yet read.

    pixel_size: (y, x) in `unit`, depth: between slices, None where unknown; description: what the
    file says of itself; notes: what a user should know about the reading; inverted: whether 0 is
    stored for 1, and 1 for 0.  Pages are arrays (channels, height, width) of `dtype`, in native
    byte order.
    """

    path: Path
    layout: Layout
    dtype: np.dtype
    pixel_size: tuple[float, float] | None
    unit: str
    description: str
    notes: tuple[str, ...]
    max_bytes: int
    _plane: Plane = field(repr=False, compare=False)
    depth: float | None = None
    inverted: bool = False

    def __len__(self) -> int:
        return self.layout.pages

    @property
    def axes(self) -> str:
        return self.layout.axes

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(pages, channels, height, width)."""
        at = self.layout
        return at.pages, at.channels, at.height, at.width

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize

    def only(self, channels: Sequence[int]) -> Image:
        """The same with some of its channels; ImageError for one that is not there."""
        return replace(self, layout=self.layout.only(channels, str(self.path)))

    def page(self, i: int) -> np.ndarray:
        """One page (channels, height, width); ImageError where it cannot be decoded."""
        if not 0 <= i < len(self):
            raise IndexError(f"page {i} of {len(self)}")
        return self.window(i, slice(0, self.layout.height), slice(0, self.layout.width))

    def window(self, i: int, rows: slice, columns: slice) -> np.ndarray:
        """The part (channels, rows, columns) of a page; how much of the file must be read for it
        depends on the file.  ImageError where it cannot be decoded."""
        where = f"{self.path}, page {i}"
        with refusing(where, "cannot be decoded"):
            planes = [self._plane(at) for at in self.layout.planes(i, rows, columns)]
        part = np.stack([p.T for p in planes] if self.layout.transposed else planes)
        shape = (self.layout.channels, rows.stop - rows.start, columns.stop - columns.start)
        if part.shape != shape:
            raise ImageError("is not complete", where=where, expected=shape, found=part.shape)
        return (part == 0 if self.inverted else part).astype(self.dtype, copy=False)

    @property
    def pixels(self) -> np.ndarray:
        """All pages (pages, channels, height, width)."""
        within(self.nbytes, self.max_bytes, str(self.path), "the whole stack")
        return np.stack([self.page(i) for i in range(len(self))])

    def summary(self, *, notes: bool = True) -> str:
        """How the file was understood, for the user to check; notes: whether with these."""
        text = f"{self.layout.words()}, {self.dtype}"
        if self.pixel_size:
            y, x = self.pixel_size
            text += f", pixel {y:.4g} x {x:.4g} {self.unit}"
        return "; ".join([text, *self.notes]) if notes else text


def one_channel(
    page: np.ndarray, where: str = "", axes: str = "", option: str = "--axes"
) -> np.ndarray:
    """The plane (height, width) of a page (1, H, W), or of one whose channels are all the same.

    ImageError where they are not, which names the option that says the axes.
    """
    if len(page) > 1 and not (page[1:] == page[0]).all():
        raise ImageError(
            "has several channels where one is needed",
            where=where,
            found=f"{len(page)} channels" + (f" (axes {axes})" if axes else ""),
            remedy=f"If these are pages, say so with {option}, for example ZYX; if these are "
            "colours, save it as grey values",
        )
    plane: np.ndarray = page[0]
    return plane


def listed(images: Mapping[int, tuple[Sequence[int], str, np.dtype]]) -> str:
    """The images of a file, by the number that chooses one: "0: 3 x 512 x 512 (CYX, uint8), ...";
    each with its shape, axes and type."""
    each = [
        f"{number}: {' x '.join(map(str, shape))} ({axes}, {dtype})"
        for number, (shape, axes, dtype) in images.items()
    ]
    return ", ".join(each[:_LISTED]) + (
        f" and {len(each) - _LISTED} more" if each[_LISTED:] else ""
    )


def plain_type(dtype: np.dtype, path: Path) -> np.dtype:
    """The type pages are given in: native byte order, bool as uint8, float16 as float32."""
    if dtype.kind not in "biuf":
        raise ImageError(
            f"has pixels of type {dtype}",
            where=str(path),
            expected="integers or floating point numbers",
            remedy="Save the magnitude, or the real part, as 32-bit TIFF"
            if dtype.kind == "c"
            else "",
        )
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    return np.dtype(np.float32) if dtype == np.float16 else dtype.newbyteorder("=")


def within(needed: int, limit: int, where: str, what: str) -> None:
    if needed > limit:
        raise MemoryBudgetError(
            f"{what} takes more memory than is allowed",
            where=where,
            expected=f"at most {limit:,} bytes",
            found=f"{needed:,}",
            remedy="Cut the image in parts",
        )


def check_stored(what: str, declared: int, stored: int, path: Path) -> None:
    """Refuse sizes in bytes that what is stored cannot hold, however it was packed."""
    if declared > max(_BOMB_BYTES, _BOMB_RATIO * max(stored, 1)):
        raise ImageError(
            f"{what} declares {declared:,} bytes of pixels, but only {stored:,} are stored",
            where=str(path),
            remedy="The file is broken or made to exhaust memory; if not, save it uncompressed",
        )


def cut_off(path: Path, found: str, expected: str | None = None) -> ImageError:
    return ImageError(
        "is cut off or damaged",
        where=str(path),
        expected=expected,
        found=found,
        remedy="Copy or export it again",
    )


@contextmanager
def refusing(where: str, what: str) -> Iterator[None]:
    """Whatever a decoder raises on a strange file becomes an ImageError."""
    try:
        yield
    except DemitasseError:
        raise
    except MemoryError as error:
        raise MemoryBudgetError("there is not enough memory for it", where=where) from error
    except Exception as error:  # decoders raise anything: struct.error, zlib.error, IndexError, ...
        text = " ".join(str(error).split())[:120] or type(error).__name__
        raise ImageError(
            f"{what} ({text})", where=where, remedy="Copy or export it again"
        ) from error
