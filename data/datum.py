"""Datum messages, the rows of Caffe's databases: an image and a label in bytes.

    unpack(bytes) -> (image (channels, height, width), label)      pack(image, label) -> bytes

An image is stored as bytes (uint8), as floats, or as a whole picture file ("encoded"), which is
decoded in colour, in grey, or as it is.  DataError where the numbers do not fill the sizes.

Source: Caffe's src/caffe/data_transformer.cpp and src/caffe/util/io.cpp.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DataError
from ..netspec import schema
from .pictures import decode


def unpack(
    content: bytes, *, colour: bool | None = None, where: str = ""
) -> tuple[np.ndarray, int]:
    """The image, (c, h, w) of uint8 or float32, and the label of a serialized Datum.

    colour: how to decode a picture file (None: as it is); where: the name for messages.
    """
    from google.protobuf.message import DecodeError

    datum = schema.Datum()
    try:
        datum.ParseFromString(content)
    except DecodeError:
        raise DataError(
            "is not a Datum", where=where, remedy="Make the database with convert_imageset"
        ) from None
    if datum.encoded:
        picture = decode(datum.data, colour=colour, where=where)
        return picture.transpose(2, 0, 1), int(datum.label)
    return _values(datum, where), int(datum.label)


def _values(datum: Any, where: str) -> np.ndarray:
    shape = int(datum.channels), int(datum.height), int(datum.width)
    values = (
        np.frombuffer(datum.data, np.uint8)
        if datum.data
        else np.array(datum.float_data, np.float32)
    )
    if min(shape) < 1 or values.size != shape[0] * shape[1] * shape[2]:
        raise DataError(
            "holds an image whose values do not fill its sizes",
            where=where,
            expected=f"{' x '.join(map(str, shape))} values (channels, height, width)",
            found=values.size,
        )
    return values.reshape(shape)


def pack(image: np.ndarray, label: int) -> bytes:
    """A serialized Datum of an image (c, h, w); uint8 as bytes, everything else as floats."""
    channels, height, width = image.shape
    datum = schema.Datum(channels=channels, height=height, width=width, label=label)
    if image.dtype == np.uint8:
        datum.data = image.tobytes()
    else:
        datum.float_data.extend(image.astype(np.float32).ravel().tolist())
    datum.encoded = False
    return bytes(datum.SerializeToString())


def pack_encoded(file: bytes, label: int) -> bytes:
    """A serialized Datum of a picture file's bytes."""
    return bytes(schema.Datum(data=file, label=label, encoded=True).SerializeToString())
