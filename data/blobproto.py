"""One array in a file: Caffe's .binaryproto, a BlobProto message.

Mean images and infogain matrices are kept so.  A file that gives any of num, channels, height and
width has these four axes; otherwise those of `shape`.  Doubles are preferred where there are any.

SpecError for a file that is missing, cut off, something else, or whose values do not fill its
shape.  Source: Caffe's Blob::FromProto and ToProto (src/caffe/blob.cpp).
"""

from __future__ import annotations

from math import prod

import numpy as np

from ..errors import DataError, SpecError
from ..files import replacing
from ..netspec import schema
from ..netspec.binary import PathLike, not_that, read_bytes

_LEGACY = ("num", "channels", "height", "width")
_LARGEST = (1 << 31) - 1  # bytes of a protobuf message


def read_blob(path: PathLike) -> np.ndarray:
    """The array: float64 where the file holds doubles, else float32."""
    from google.protobuf.message import DecodeError

    content, proto = read_bytes(path), schema.BlobProto()
    try:
        proto.ParseFromString(content)
    except DecodeError:
        raise not_that("an array (.binaryproto)", content, str(path)) from None
    legacy = any(proto.HasField(name) for name in _LEGACY)
    if not (legacy or proto.HasField("shape") or len(proto.data) or len(proto.double_data)):
        raise not_that("an array (.binaryproto)", content, str(path))
    shape = tuple(getattr(proto, n) for n in _LEGACY) if legacy else tuple(proto.shape.dim)
    values = (
        np.array(proto.double_data, np.float64)
        if len(proto.double_data)
        else np.array(proto.data, np.float32)
    )
    if min(shape, default=1) < 0 or prod(shape) != values.size:
        raise SpecError(
            "holds an array whose values do not fill its shape",
            where=str(path),
            expected=f"{' x '.join(map(str, shape)) or 1} values",
            found=values.size,
            remedy="The file was cut off or made by a broken program: make it again",
        )
    return values.reshape(shape)


def write_blob(path: PathLike, array: np.ndarray, *, legacy: bool = False) -> None:
    """Write an array whole or not at all: float64 as doubles, everything else as floats.

    legacy: give its shape as num, channels, height and width, as Caffe's compute_image_mean does.
    """
    array = np.asarray(array)
    proto = schema.BlobProto()
    if legacy:
        if array.ndim > len(_LEGACY):
            raise DataError(
                "an array of more than four axes has no legacy shape",
                where=str(path),
                found=f"{array.ndim} axes",
            )
        padded = (1,) * (len(_LEGACY) - array.ndim) + array.shape
        for name, size in zip(_LEGACY, padded, strict=True):
            setattr(proto, name, size)
    else:
        proto.shape.dim.extend(array.shape)
    double = array.dtype == np.float64
    if array.size * (8 if double else 4) >= _LARGEST - 1024:
        raise DataError(
            "is too large for a .binaryproto",
            where=str(path),
            expected="less than 2 GiB",
            found=f"{array.size} values",
        )
    if double:
        proto.double_data.extend(array.ravel().tolist())
    else:
        proto.data.extend(array.astype(np.float32).ravel().tolist())
    with replacing(path) as temporary:
        temporary.write_bytes(proto.SerializeToString())
