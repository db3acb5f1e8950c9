"""Caffe's binary parameter files (.caffemodel), of all three generations.

    NetParameter  name 1     layers 2 (V1, V0 inside)     layer 100 (V2)
    layer         V2: name 1, type 2, blobs 7     V0: name 1, type 2, blobs 50
                  V1: V0 layer 1, name 4, type 5, blobs 6
    BlobProto     num, channels, height, width 1-4   data 5   diff 6   shape 7
                  double_data 8   double_diff 9

Only these fields are read (see wire.py), so Freiburg's and NVIDIA's files read like BVLC's, though
their layers' settings have other numbers.  As in Caffe, double_data comes before data.  Of several
layers of one name, which some 3-D nets have, the first keeps it and the others become "name#2",
"name#3", as in the net (netspec/unique.py); Caffe loads them all into the same layer.  Written are
the bytes that Caffe writes.

Source: Caffe's src/caffe: proto/caffe.proto, blob.cpp (FromProto), net.cpp (CopyTrainedLayersFrom).
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import WeightsError
from ..files import replacing
from ..netspec.unique import unique_names
from . import wire
from .base import Shape, Weights

Part = bytes | memoryview

LIMIT = (1 << 31) - 1  # bytes that Caffe can read
_V0, _V1, _V2 = "V0", "V1", "V2"
_NAME = {_V0: 1, _V1: 4, _V2: 1}
_TYPE = {_V0: 2, _V1: 5, _V2: 2}
_BLOBS = {_V0: 50, _V1: 6, _V2: 7}
# old words for the layers that had parameters in the times of four axes
_OLD_TYPES = {
    "conv": "Convolution",
    "innerproduct": "InnerProduct",
    4: "Convolution",
    14: "InnerProduct",
    39: "Deconvolution",
}
# fields of LayerParameter that only Freiburg's fork has, or has another meaning for
_FORK = range(149, 155)
_FORK_TYPES = {(145, "CreateDeformation"), (146, "ApplyDeformation"), (147, "Parameter")}
FREIBURG = "V2 of Freiburg's fork"


def read_caffemodel(path: str | os.PathLike[str]) -> Weights:
    """The parameters of a binary net."""
    data, where = Path(path).read_bytes(), os.fspath(path)
    found: list[_Layer] = []
    try:
        for field in wire.fields(data):
            if field.number not in (2, 100):
                continue
            found.append(_layer(data, field, _V1 if field.number == 2 else _V2, where))
    except wire.WireError as error:
        raise _broken(error, len(data), where, [layer.name for layer in found]) from None
    if not found:
        raise WeightsError("holds no layers, so it is not a caffemodel", where=where)
    named = dict(zip(unique_names(layer.name for layer in found), found, strict=True))
    dialects = [layer.dialect for layer in found]
    return Weights(
        {name: layer.blobs for name, layer in named.items()},
        "caffemodel",
        where,
        any(layer.legacy for layer in found),
        duplicates=tuple(n for n, times in Counter(la.name for la in found).items() if times > 1),
        types={name: layer.type for name, layer in named.items() if layer.type},
        dialect=FREIBURG if FREIBURG in dialects else dialects[-1],
    )


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


class _Layer(NamedTuple):
    """legacy: whether a blob has a legacy shape."""

    name: str
    type: str
    blobs: list[np.ndarray | None]
    legacy: bool
    dialect: str


def _layer(data: bytes, message: wire.Field, kind: str, where: str) -> _Layer:
    """What a layer's message says of its parameters."""
    if message.type != wire.BYTES:
        raise wire.WireError(message.start)
    name, blobs, inner = "", [], None
    said: str | int = ""
    numbers = set()
    for field in wire.fields(data, message.start, message.stop):
        numbers.add(field.number)
        if field.number == _NAME[kind]:
            name = wire.text(data, field)
        elif field.number == _TYPE[kind]:
            word = data[field.start : field.stop].decode(errors="replace")
            said = field.value if field.type == wire.VARINT else word
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
    own = str(said) if kind == _V2 else ""
    fork = any(n in _FORK or (n, own) in _FORK_TYPES for n in numbers)
    return _Layer(
        name, _OLD_TYPES.get(said, own), arrays, legacy, FREIBURG if fork and own else kind
    )


def read_blob(data: bytes, message: wire.Field, where: str) -> tuple[np.ndarray, bool]:
    """The array of a BlobProto, and whether its shape is a legacy one."""
    if message.type != wire.BYTES:
        raise wire.WireError(message.start)
    old, shape = [0, 0, 0, 0], []
    legacy = False
    parts: dict[int, list[np.ndarray]] = {5: [], 8: []}
    for field in wire.fields(data, message.start, message.stop):
        if 1 <= field.number <= 4:
            if field.type != wire.VARINT:
                raise wire.WireError(field.start)
            old[field.number - 1] = wire.signed(field.value)
            legacy = True
        elif field.number == 7:
            if field.type != wire.BYTES:
                raise wire.WireError(field.start)
            for dim in wire.fields(data, field.start, field.stop):
                if dim.number == 1:
                    shape += wire.integers(data, dim)
        elif field.number in parts:
            some = wire.numbers(data, field, "<f4" if field.number == 5 else "<f8")
            if some.size:
                parts[field.number].append(some)
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
    layers: Iterable[tuple[bytes, Sequence[np.ndarray], Sequence[np.ndarray]]],
    *,
    overwrite: bool = True,
) -> None:
    """Write a net: of each layer its serialized LayerParameter without blobs, its arrays, and their
    diffs (none of them, or one for each)."""
    parts: list[Part] = [block(1, name.encode())]
    for message, arrays, diffs in layers:
        blobs = [
            part
            for i, array in enumerate(arrays)
            for part in blob_field(_BLOBS[_V2], array, diffs[i] if len(diffs) else None)
        ]
        cut = _before_blobs(message)
        body = [message[:cut], *blobs, message[cut:]]
        parts += [wire.encode_key(100, sum(len(part) for part in body)), *body]
    write_message(path, parts, what="a caffemodel", overwrite=overwrite)


def _before_blobs(message: bytes) -> int:
    """Where the blobs of a LayerParameter belong: fields are written by their numbers."""
    cut = 0
    for field in wire.fields(message):
        if field.number > _BLOBS[_V2]:
            break
        cut = field.stop
    return cut


def write_message(
    path: str | os.PathLike[str], parts: Sequence[Part], *, what: str, overwrite: bool = True
) -> None:
    """Write a message in pieces, whole or not at all; refuse one that Caffe could not read."""
    total = sum(len(part) for part in parts)
    if total > LIMIT:
        raise WeightsError(
            f"would be larger than {what} may be",
            where=os.fspath(path),
            expected=f"at most {LIMIT} bytes",
            found=total,
            remedy="Save it as HDF5 (a name that ends in .h5; snapshot_format: HDF5)",
        )
    with replacing(path, overwrite=overwrite) as temporary, open(temporary, "wb") as file:
        file.writelines(parts)


def block(number: int, content: bytes) -> bytes:
    """A field of bytes: text, or a message."""
    return wire.encode_key(number, len(content)) + content


def blob_field(number: int, array: np.ndarray, diff: np.ndarray | None = None) -> list[Part]:
    """A BlobProto as field `number`: shape, and the numbers as packed fields."""
    doubles = array.dtype == np.float64
    dims = b"".join(wire.encode_varint(size) for size in array.shape)
    shape = block(7, block(1, dims)) if dims else b""
    parts: list[Part] = []
    for which, values in zip((8, 9) if doubles else (5, 6), (array, diff), strict=True):
        if values is not None and values.size:
            little = np.ascontiguousarray(values, "<f8" if doubles else "<f4").data.cast("B")
            parts += [wire.encode_key(which, len(little)), little]
    parts.insert(0 if doubles else len(parts), shape)
    return [wire.encode_key(number, sum(len(part) for part in parts)), *parts]
