"""Caffe's binary parameter files as they were written until 2014, for programs of that age.

    NetParameter        name 1     layers 2
    V1LayerParameter    name 4     type 5     blobs 6
    BlobProto           num, channels, height, width 1-4     data 5

The U-Net of 2015 was published so.  Every blob has four axes, the first ones 1 where it has fewer:
a bias of n is (1, 1, 1, n).  Numbers are float32.  Today's Caffe and OpenCV read such files, too.

Source: Caffe's src/caffe/proto/caffe.proto (V1LayerParameter, BlobProto).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import numpy as np

from ..errors import WeightsError
from . import wire
from .caffemodel import Part, block, write_message

TYPES = {"Convolution": 4, "InnerProduct": 14, "Deconvolution": 39}  # that have parameters in V1
AXES = 4


def write_caffemodel_v1(
    path: str | os.PathLike[str],
    name: str,
    layers: Iterable[tuple[str, str, Sequence[np.ndarray]]],
    *,
    overwrite: bool = True,
) -> None:
    """Write a net: of each layer its name, its type in today's words, and its arrays.

    Layers without arrays are left out: nobody needs them to find the others.  WeightsError for
    what V1 cannot say: a layer of a later type, more than four axes, doubles that float32 changes.
    """
    where = os.fspath(path)
    parts: list[Part] = [block(1, name.encode())]
    for layer, kind, arrays in layers:
        if not arrays:
            continue
        if not kind:
            raise WeightsError(
                f"a file of V1 says the type of every layer, and that of '{layer}' is not known",
                where=where,
                remedy="HDF5 files do not say it; give the net, too: --net NET.prototxt",
            )
        if kind not in TYPES:
            raise WeightsError(
                f"layer '{layer}' ({kind}) had no parameters in V1",
                where=where,
                expected="layers of the types " + ", ".join(TYPES),
                remedy="Write a .caffemodel of today, or .h5",
            )
        body: list[Part] = [block(4, layer.encode()), _number(5, TYPES[kind])]
        for i, array in enumerate(arrays):
            body += _blob(array, f"{where}, blob {i} of layer '{layer}'")
        parts += [wire.encode_key(2, sum(len(part) for part in body)), *body]
    write_message(path, parts, what="a caffemodel", overwrite=overwrite)


def _blob(array: np.ndarray, where: str) -> list[Part]:
    """A BlobProto as field 6 of its layer."""
    if array.ndim > AXES:
        raise WeightsError(
            "has more axes than V1 knows",
            where=where,
            expected=f"at most {AXES}",
            found="x".join(map(str, array.shape)),
            remedy="Write a .caffemodel of today, or .h5",
        )
    little = np.ascontiguousarray(array, "<f4")
    if array.dtype != np.float32 and not np.array_equal(little, array, equal_nan=True):
        raise WeightsError("holds doubles, which V1 would round", where=where)
    dims = (1,) * (AXES - array.ndim) + array.shape
    head = b"".join(_number(i, size) for i, size in enumerate(dims, 1))
    data = little.reshape(-1).data.cast("B")
    parts: list[Part] = [head, wire.encode_key(5, len(data)), data]
    return [wire.encode_key(6, sum(len(part) for part in parts)), *parts]


def _number(field: int, value: int) -> bytes:
    """A field that holds a whole number."""
    return wire.encode_varint(field << 3 | wire.VARINT) + wire.encode_varint(value)
