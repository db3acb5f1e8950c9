"""Caffe's binary parameter files (.caffemodel), of all three generations.

    NetParameter  name 1                layers 2 (V1, V0 inside)              layer 100 (V2)
    layer         V2: name 1, blobs 7   V1: name 4, blobs 6, V0 layer 1       V0: name 1, blobs 50
    BlobProto     num, channels, height, width 1-4   data 5   shape 7   double_data 8

Only these fields are read (see wire.py), so Freiburg's and NVIDIA's files read like BVLC's.  As in
Caffe, double_data comes before data.  Of several layers of one name, which some 3-D nets have, the
first keeps it and the others become "name#2", "name#3"; Caffe loads them all into the same layer.

Source: Caffe's src/caffe: proto/caffe.proto, blob.cpp (FromProto), net.cpp (CopyTrainedLayersFrom).
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..errors import WeightsError
from ..files import replacing
from . import wire
from .base import Layers, Shape, Weights

LIMIT = (1 << 31) - 1  # bytes that Caffe can read
_V0, _V1, _V2 = "V0", "V1", "V2"
_NAME = {_V0: 1, _V1: 4, _V2: 1}
_BLOBS = {_V0: 50, _V1: 6, _V2: 7}


def read_caffemodel(path: str | os.PathLike[str]) -> Weights:
    """The parameters of a binary net."""
    data, where = Path(path).read_bytes(), os.fspath(path)
    layers: Layers = {}
    seen: Counter[str] = Counter()
    legacy = False
    try:
        for field in wire.fields(data):
            if field.number not in (2, 100):
                continue
            name, blobs, old = _layer(data, field, _V1 if field.number == 2 else _V2, where)
            legacy |= old
            seen[name] += 1
            layers[name if seen[name] == 1 else f"{name}#{seen[name]}"] = blobs
    except wire.WireError as error:
        raise _broken(error, len(data), where, list(layers)) from None
    if not layers:
        raise WeightsError("holds no layers, so it is not a caffemodel", where=where)
    duplicates = tuple(name for name, times in seen.items() if times > 1)
    return Weights(layers, "caffemodel", where, legacy, duplicates=duplicates)


def _broken(error: wire.WireError, size: int, where: str, complete: Sequence[str]) -> WeightsError:
    if not complete and not error.past_end:
        return WeightsError(
            "is not a caffemodel: neither HDF5 nor a binary net",
            where=where,
            found=f"no protobuf message at byte {error.position} of {size}",
        )
    after = f", after layer '{complete[-1]}'" if complete else ""
    return WeightsError(
        f"is not a complete caffemodel: it breaks at byte {error.position} of {size}{after}",
        where=where,
        remedy="It was probably cut off while it was copied; fetch it again",
    )


def _layer(
    data: bytes, message: wire.Field, kind: str, where: str
) -> tuple[str, list[np.ndarray | None], bool]:
    """Name, arrays, and whether their shapes are legacy ones."""
    if message.type != wire.BYTES:
        raise wire.WireError(message.start)
    name, blobs, inner = "", [], None
    for field in wire.fields(data, message.start, message.stop):
        if field.number == _NAME[kind]:
            name = wire.text(data, field)
        elif field.number == _BLOBS[kind]:
            blobs.append(field)
        elif kind == _V1 and field.number == 1:
            inner = field
    if inner is not None:
        return _layer(data, inner, _V0, where)
    arrays: list[np.ndarray | None] = []
    legacy = False
    for i, blob in enumerate(blobs):
        array, old = read_blob(data, blob, f"{where}, blob {i} of layer '{name}'")
        arrays.append(array)
        legacy |= old
    return name, arrays, legacy


def read_blob(data: bytes, message: wire.Field, where: str) -> tuple[np.ndarray, bool]:
    """The array of a BlobProto, and whether its shape is a legacy one."""
    if message.type != wire.BYTES:
        raise wire.WireError(message.start)
    old, shape = [0, 0, 0, 0], []
    legacy = False
    parts: dict[int, list[np.ndarray]] = {5: [], 8: []}
    for field in wire.fields(data, message.start, message.stop):
        if 1 <= field.number <= 4:
            (old[field.number - 1],) = wire.integers(data, field)
            legacy = True
        elif field.number == 7:
            if field.type != wire.BYTES:
                raise wire.WireError(field.start)
            for dim in wire.fields(data, field.start, field.stop):
                if dim.number == 1:
                    shape += wire.integers(data, dim)
        elif field.number in parts:
            parts[field.number].append(
                wire.numbers(data, field, "<f4" if field.number == 5 else "<f8")
            )
    found = parts[8] or parts[5]
    values = found[0] if len(found) == 1 else np.concatenate([np.zeros(0, np.float32), *found])
    dims: Shape = tuple(old if legacy else shape)
    if min(dims, default=0) < 0 or math.prod(dims) != values.size:
        raise WeightsError(
            "has not as many values as its shape says",
            where=where,
            expected=f"{math.prod(dims)} for {dims}",
            found=values.size,
        )
    # the file's numbers are little-endian and may lie at odd addresses
    return values.astype(values.dtype.newbyteorder("=")).reshape(dims), legacy


def write_caffemodel(
    path: str | os.PathLike[str],
    name: str,
    layers: Iterable[tuple[bytes, Sequence[np.ndarray]]],
    *,
    overwrite: bool = True,
) -> None:
    """Write a net: each layer as its serialized LayerParameter, without blobs, and its arrays.

    Messages may be continued by appending fields, so the blobs are put behind the rest.
    """
    parts: list[bytes | memoryview] = [_field(1, name.encode())]
    for message, arrays in layers:
        body: list[bytes | memoryview] = [message]
        for array in arrays:
            body += _blob(array)
        length = sum(len(part) for part in body)
        parts += [wire.encode_key(100, length), *body]
    total = sum(len(part) for part in parts)
    if total > LIMIT:
        raise WeightsError(
            "would be larger than a caffemodel may be",
            where=os.fspath(path),
            expected=f"at most {LIMIT} bytes",
            found=total,
            remedy="Save it as HDF5 (a name that ends in .h5; snapshot_format: HDF5)",
        )
    with replacing(path, overwrite=overwrite) as temporary, open(temporary, "wb") as file:
        file.writelines(parts)


def _field(number: int, content: bytes) -> bytes:
    return wire.encode_key(number, len(content)) + content


def _blob(array: np.ndarray) -> list[bytes | memoryview]:
    """A `blobs` entry: shape, then the numbers as one packed field."""
    number, dtype = (8, "<f8") if array.dtype == np.float64 else (5, "<f4")
    values = np.ascontiguousarray(array, dtype).data.cast("B")
    dims = b"".join(wire.encode_varint(size) for size in array.shape)
    shape = _field(7, _field(1, dims) if dims else b"")
    key = wire.encode_key(number, len(values))
    return [wire.encode_key(7, len(shape) + len(key) + len(values)), shape, key, values]
