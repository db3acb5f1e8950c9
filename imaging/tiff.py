"""Images out of TIFF and PNG files, page by page, and results into TIFF files.

    image = read("stack.tif")       # nothing but the headers is read
    image.page(3)                   # (channels, height, width), the file's own type
    image.summary()                 # how the file was understood, in one sentence
    write("labels.tif", labels, pixel_size=image.pixel_size, unit=image.unit)

8, 16 and 32 bit integers and floating point numbers, stacks, ImageJ hyperstacks, OME axes, RGB, big
endian, BigTIFF, any compression that imagecodecs knows.  A file that is cut off, declares more than
it can hold, or has pages of different sizes is refused; `axes` overrides what its metadata say.
What is written opens in ImageJ and Fiji with the pixel size it had.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ImageError
from ..files import replacing
from ..texts import beginning, utf8
from . import roi_labels
from .axes import layout
from .decode import read_tiff
from .image import MAX_BYTES, Image, check_stored, plain_type, refusing, within

SUFFIXES = (".tif", ".tiff", ".png")
# of pictures that `find` passes over in a folder; some are read where they are named
_PICTURES = re.compile(
    r"\.(jpe?g|jp2|gif|bmp|webp|tf[28]|btf|qptiff|lsm|stk|svs|scn|ndpi|czi|nd2|lif|oi[bf]|vsi|ims|dv"
    r"|mrc)",
    re.IGNORECASE,
)

_IMAGEJ = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))
CLASSIC_BYTES = (4 << 30) - (32 << 20)  # offsets have 32 bits, and headers need some room
OME_UNITS = {"um": "µm", "inch": "in", "angstrom": "Å"}  # others are spelt alike
_OTHERS = {
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89HDF": "an HDF5 file",
    b"PK\x03\x04": "a zip archive",
    b"Iout": "a selection of ImageJ",
    b"\x1f\x8b": "a gzip archive",
    b"GIF8": "a GIF picture",
    b"BM": "a BMP picture",
    b"%PDF": "a PDF document",
    b"\xd0\xcf\x11\xe0": "a compound document (perhaps of a Zeiss or Olympus microscope)",
}


def read(
    path: str | Path,
    *,
    axes: str | None = None,
    series: int | None = None,
    channels: Sequence[int] | None = None,
    max_bytes: int | None = None,
) -> Image:
    """Open a TIFF or PNG file.

    axes: letters for the file's axes where its metadata are wrong, e.g. "CYX"; series: which one of
    a TIFF file that holds several (None: all if alike, else the first of OME's images); channels:
    which of them, in this order; max_bytes: the most memory a page, or `pixels`, may take.
    Raises ImageError, or MemoryBudgetError.
    """
    path = Path(path)
    start = _start(path)
    limit = MAX_BYTES if max_bytes is None else max_bytes
    if start == b"\x89PNG\r\n\x1a\n":
        if series:
            raise ImageError(f"has no series {series}", where=str(path), found="a PNG picture")
        image = _read_png(path, axes, limit)
    elif start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        with refusing(str(path), "cannot be read as TIFF"):
            image = read_tiff(path, axes, series, limit, trusting=max_bytes is not None)
    else:
        kind = next((name for magic, name in _OTHERS.items() if start.startswith(magic)), "")
        raise ImageError(
            "is not a TIFF or PNG file",
            where=str(path),
            found=kind or beginning(start),
            remedy="ImageJ's selections are for `pack --labels`, in the paper's convention"
            if roi_labels.is_named(path)
            else "Open it in Fiji and save it as TIFF",
        )
    if not image.nbytes:
        raise ImageError("has no pixels", where=str(path), found=image.layout.words())
    image = image if channels is None else image.only(channels)
    within(image.nbytes // len(image), limit, str(path), "one page")
    return image


def find(patterns: Sequence[str | Path], others: Sequence[str] = ()) -> list[Path]:
    """Image files of paths, globs and folders, each in natural order (2 before 10), folder by
    folder.  others: suffixes of the files that a folder without images is asked for.

    Files whose names begin with a dot are hidden, as in a shell: macOS writes "._cell1.tif" beside
    cell1.tif, and it holds no image.
    """
    found: list[Path] = []
    for pattern in map(str, patterns):
        path = Path(pattern)
        if path.is_dir():
            every = (p for p in path.iterdir() if not p.name.startswith("."))
            files = [p for p in every if p.is_file()]
            here = [p for p in files if p.suffix.lower() in SUFFIXES]
            here = here or [p for p in files if p.suffix.lower() in others]
            what = "holds no TIFF or PNG file"
        elif path.exists() or not re.search(r"[*?\[]", pattern):
            here, what = [path], ""  # a file that is missing is refused when it is read
        else:
            root = Path(path.anchor)
            every = root.glob(str(path.relative_to(root)))
            if not path.name.startswith("."):
                every = (p for p in every if not p.name.startswith("."))
            here = [p for p in every if p.is_file()]
            what = "matches no file"
        if not here:
            raise ImageError(what, where=pattern)
        found += sorted(here, key=natural)
    return found


def passed_over(pattern: str | Path) -> list[Path]:
    """The pictures of a folder that `find` leaves out for their names, in natural order."""
    folder = Path(pattern)
    every = folder.iterdir() if folder.is_dir() else ()
    there = (p for p in every if not p.name.startswith(".") and _PICTURES.fullmatch(p.suffix))
    return sorted(there, key=natural)


def write(
    path: str | Path,
    pages: np.ndarray | Iterable[np.ndarray],
    *,
    count: int | None = None,
    pixel_size: tuple[float, float] | None = None,
    unit: str = "um",
    depth: float | None = None,
    letters: str = "Z",
    lengths: Sequence[int] = (),
    display: tuple[float, float] | None = None,
    info: str = "",
    overwrite: bool = False,
) -> None:
    """Write pages (height, width) or (channels, height, width) as a TIFF stack for ImageJ.

    pages: an array with the pages first, or any iterable of `count` of them, written one by one.
    uint8, uint16 and float32 are kept, and so is uint32 of pages that come one by one, in OME-TIFF,
    for ImageJ's own has no such type; bool becomes uint8, other types float32 or the unsigned type
    that holds them.  pixel_size: (y, x) in `unit`, depth: between slices; letters, lengths: the
    axes that the pages lie along, the fastest last, of T and Z; display: the values shown as black
    and white; info: text kept with the image (in ImageJ: Image > Show Info).
    The file appears whole or not at all; OutputError where it exists and overwrite is False.
    """
    import tifffile

    info = utf8(info)  # names of files
    if lengths:
        count = math.prod(lengths)
    elif count is None:
        pages = np.asarray(pages)
        count = len(pages)
        if pages.size:
            pages = pages.astype(_imagej_type(pages), copy=False)
    if count < 1:
        raise ValueError("there is no page to write")
    rest = iter(pages)
    first = np.asarray(next(rest))
    dtype = first.dtype if first.dtype == np.uint32 else _imagej_type(first)
    if first.ndim not in (2, 3) or first.size == 0:
        raise ValueError(f"a page is (height, width) or (channels, height, width): {first.shape}")
    shape = (*(lengths or (count,)), *first.shape)
    small = math.prod(shape) * dtype.itemsize < CLASSIC_BYTES
    # ImageJ's own format ends at 4 GB, has no 32-bit integers, loses a width of 1, and has T first
    imagej = small and dtype in _IMAGEJ and first.shape[-1] > 1 and letters != "ZT"
    said: dict[str, Any]
    if imagej:
        said = {"unit": unit, "spacing": depth} if pixel_size else {}
        said |= {"min": display[0], "max": display[1]} if display else {}
        kind: dict[str, Any] = {"imagej": True, "resolutionunit": 1}
    else:
        said = ome_sizes(pixel_size, depth, unit)
        kind = {"ome": True, "bigtiff": not small}
    said |= {"Info" if imagej else "Description": info} if info else {}
    said = {name: value for name, value in said.items() if value is not None}
    with replacing(path, overwrite=overwrite) as temporary:
        tifffile.imwrite(
            temporary,
            planes(chain([first], rest), (count, *first.shape), dtype),
            shape=shape,
            dtype=dtype,
            resolution=(1 / pixel_size[1], 1 / pixel_size[0]) if pixel_size else None,
            photometric="minisblack",
            metadata={"axes": letters + "CYX"[-first.ndim :], **said},
            **kind,
        )


def ome_sizes(
    pixel_size: tuple[float, float] | None, depth: float | None, unit: str
) -> dict[str, Any]:
    """Sizes in `unit` as OME spells them; without those that are unknown."""
    spelt, made = OME_UNITS.get(unit, unit), dict[str, Any]()
    for axis, size in zip("ZYX", (depth, *(pixel_size or (None, None))), strict=True):
        if size:
            made |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": spelt}
    return made


def planes(
    pages: Iterable[np.ndarray], shape: tuple[int, ...], dtype: np.dtype
) -> Iterator[np.ndarray]:
    """Every plane (height, width) in the order of the file; ValueError unless they fill `shape`."""
    written = 0
    for page in pages:
        if np.shape(page) != shape[1:]:
            raise ValueError(f"page {written} is {np.shape(page)}, the first was {shape[1:]}")
        written += 1
        yield from np.ascontiguousarray(page, dtype).reshape(-1, *shape[-2:])
    if written != shape[0]:
        raise ValueError(f"{written} pages came, {shape[0]} were announced")


def _imagej_type(array: np.ndarray) -> np.dtype:
    """The type of ImageJ's that holds an array: uint8, uint16 or float32."""
    native = array.dtype.newbyteorder("=")
    if native in _IMAGEJ:
        return native
    if array.dtype == bool:
        return np.dtype(np.uint8)
    if array.dtype.kind in "iu" and array.min() >= 0 and array.max() <= 65535:
        return np.dtype(np.uint8 if array.max() <= 255 else np.uint16)
    return np.dtype(np.float32)


def natural(path: Path) -> tuple[list[list[tuple[int, int, str]]], tuple[str, ...]]:
    """The key of natural order (2 before 10): folder by folder, then the name."""
    parts = [re.split(r"(\d+)", part.lower()) for part in path.parts]
    numbers = [[(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in part] for part in parts]
    return numbers, path.parts


def _start(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            start = file.read(8)
    except FileNotFoundError:
        raise ImageError("does not exist", where=str(path), absent=True) from None
    except IsADirectoryError:
        raise ImageError("is a folder, not an image", where=str(path)) from None
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror})", where=str(path)) from error
    if not start:
        raise ImageError("is empty (0 bytes)", where=str(path), remedy="Copy it again")
    return start


def _read_png(path: Path, axes: str | None, limit: int) -> Image:
    from PIL.PngImagePlugin import PngImageFile

    notes: list[str] = []
    # not by Image.open, which refuses any picture above 358 megapixels
    with refusing(str(path), "cannot be read as PNG"), PngImageFile(path) as picture:
        width, height = picture.size
        bands = len(picture.getbands())
        with open(path, "rb") as file:
            bits = file.read(25)[-1]  # of a value, in the header that comes first
        if bits == 16 and bands > 1:
            raise ImageError(
                "has values of 16 bits in several channels, of which only 8 would be read",
                where=str(path),
                remedy="Save it as TIFF, or as grey values",
            )
        declared = width * height * bands
        check_stored("the picture", declared, path.stat().st_size, path)
        within(declared, limit, str(path), "the picture")
        if picture.mode == "P":
            notes.append("indexed colours: the indices are read, not the colours")
        array = np.array(picture)
        if picture.mode == "L" and bits < 8:
            array //= 255 // (2**bits - 1)  # they were spread over 0 to 255
    if array.ndim == 3 and array.shape[2] in (2, 4):
        notes.append("alpha channel left out")
        array = array[..., :-1]
    letters = "YXS"
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    at = layout(array.shape, letters[: array.ndim], override=axes, where=str(path))
    dtype = plain_type(array.dtype, path)
    return Image(path, at, dtype, None, "", "", tuple(notes), limit, lambda i: array[i])
