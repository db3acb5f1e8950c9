"""Pictures as Caffe gets them from OpenCV: uint8 (height, width, channels), blue first.

    read("cat.jpg", colour=True)        (h, w, 3); grey is repeated, alpha left out
    read("cat.jpg", colour=False)       (h, w, 1)
    decode(bytes, colour=None)          as stored: 1, 3 or, with alpha, 4 channels

16 bit values lose their lower byte, as in OpenCV; where pictures are taken as stored they are
refused, as by Caffe.  JPEG gives its own luminance as grey, PNG libpng's mixture, others OpenCV's.
A note in a file that says how to turn it (EXIF) is not followed: pixels come as they are stored.

Raises ImageError.  Source: what Caffe calls in src/caffe/util/io.cpp (cv::imread, imdecode).
"""

from __future__ import annotations

import io
import os
import warnings
from typing import Any

import numpy as np

from ..errors import ImageError
from ..texts import beginning
from .resize import bilinear

_WIDE = ("I;16", "I;16B", "I;16L", "I;16N", "I")
# weights of blue, green and red in grey, what is added to round, and the bits to drop
_PNG, _OTHERS = ((3737, 19234, 9797), 0, 15), ((1868, 9617, 4899), 1 << 13, 14)


def read(
    path: str, *, colour: bool | None = True, size: tuple[int, int] | None = None
) -> np.ndarray:
    """The picture in a file, made `size` (height, width) if one is given."""
    picture = decode(read_file(path), colour=colour, where=path)
    return picture if size is None else bilinear(picture, *size)


def read_file(path: str) -> bytes:
    """A picture file's bytes."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror})", where=path) from error


def decode(content: bytes, *, colour: bool | None, where: str) -> np.ndarray:
    """The picture in a file's bytes; where: the name for messages."""
    import PIL.Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a file's metadata lack is not the user's matter
            with PIL.Image.open(io.BytesIO(content)) as image:
                if colour is None and _is_wide(image, content):
                    raise ImageError("has 16 bits a channel", where=where, expected="8")
                picture = _pixels(image, colour, where)
    except ImageError:
        raise
    except PIL.UnidentifiedImageError:
        found = beginning(content) if content else "an empty file"
        raise ImageError("is not a picture", where=where, found=found) from None
    except Exception as error:  # Pillow raises whatever its decoders stumble over
        raise ImageError(f"cannot be decoded ({error})", where=where) from error
    return np.ascontiguousarray(picture)


def _pixels(image: Any, colour: bool | None, where: str) -> np.ndarray:
    if image.mode in _WIDE:
        return _channels((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8), colour)
    if image.mode == "F":
        raise ImageError("holds floating point numbers", where=where, expected="8 bits a channel")
    if colour is False and image.format == "JPEG" and image.mode == "RGB":
        image.draft("L", None)  # the luminance as stored
    clear = image.mode.endswith("A") or (image.mode != "L" and "transparency" in image.info)
    if image.mode in ("1", "L") or (image.mode == "LA" and colour is not None):
        return _channels(np.asarray(image.convert("L")), colour)
    if colour is None and clear:
        return np.asarray(image.convert("RGBA"))[..., (2, 1, 0, 3)]
    blue_first = np.asarray(image.convert("RGB"))[..., ::-1]
    if colour is not False:
        return blue_first
    weights, rounding, bits = _PNG if image.format == "PNG" else _OTHERS
    total = (blue_first * np.array(weights)).sum(axis=2, keepdims=True)
    return ((total + rounding) >> bits).astype(np.uint8)


def _is_wide(image: Any, content: bytes) -> bool:
    """Whether values have 16 bits; Pillow hides it where there are three."""
    return image.mode in _WIDE or (image.format == "PNG" and content[24] == 16)


def _channels(grey: np.ndarray, colour: bool | None) -> np.ndarray:
    """(h, w) as (h, w, 3) where colour is wanted, else (h, w, 1)."""
    return np.repeat(grey[..., None], 3 if colour else 1, axis=2)


def encode(picture: np.ndarray, kind: str, *, where: str) -> bytes:
    """A picture as a file's bytes; kind: "png", "jpg" (at quality 95, as OpenCV's), ..."""
    import PIL.Image

    PIL.Image.init()
    name = PIL.Image.registered_extensions().get(f".{kind.lower()}", "")
    if name not in PIL.Image.SAVE:
        raise ImageError(f"pictures cannot be written as '{kind}'", where=where, expected="png")
    image = PIL.Image.fromarray(picture[..., ::-1] if picture.shape[2] == 3 else picture[..., 0])
    file = io.BytesIO()
    try:
        image.save(file, name, **({"quality": 95} if name == "JPEG" else {}))
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot be written as '{kind}' ({error})", where=where) from error
    return file.getvalue()


def missing(paths: list[str]) -> str | None:
    """The first path at which there is no file."""
    return next((path for path in paths if not os.path.isfile(path)), None)
