"""Protobuf's wire format, read without a schema.

A message is a row of fields, each a key (number * 8 + type as a varint) and a value:

    type 0  a varint: seven bits a byte, least significant first, the top bit says "more follows"
    type 1  eight bytes
    type 2  a length as a varint, then that many bytes: text, a message, or packed numbers
    type 5  four bytes

Caffe's dialects give field numbers different meanings (pooling in Freiburg's fork, layer parameters
in NVIDIA's), but agree on names and blobs; so only these are read, and everything else is skipped.
Reading without a schema also tells where a broken file breaks, and copies nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZE = {FIXED64: 8, FIXED32: 4}


class WireError(Exception):
    """The bytes are no protobuf message from `position` on; past_end: they end too early."""

    def __init__(self, position: int, *, past_end: bool = False) -> None:
        self.position, self.past_end = position, past_end
        super().__init__(f"no protobuf at byte {position}")


class Field(NamedTuple):
    """One field; of types 1 and 5 a whole run of the same field.

    value: of a varint; start, stop: of the value's bytes, or of the run with its keys.
    """

    number: int
    type: int
    value: int
    start: int
    stop: int


def varint(data: bytes, position: int, stop: int) -> tuple[int, int]:
    """The number that begins here, and the position after it."""
    value = shift = 0
    start = position
    while True:
        if position >= stop:
            raise WireError(start, past_end=True)
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift >= 70:
            raise WireError(start)


def signed(value: int) -> int:
    """A varint as int32 or int64: negative numbers are written as 64-bit two's complement."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def fields(data: bytes, start: int = 0, stop: int | None = None) -> Iterator[Field]:
    """The fields of the message between two positions; WireError where there is none."""
    position, stop = start, len(data) if stop is None else stop
    while position < stop:
        begin = position
        key, position = varint(data, position, stop)
        number, kind = key >> 3, key & 7
        if number == 0 or number >= 1 << 29:
            raise WireError(begin)
        if kind == VARINT:
            value, position = varint(data, position, stop)
            yield Field(number, kind, value, begin, position)
        elif kind == BYTES:
            length, position = varint(data, position, stop)
            if length > stop - position:
                raise WireError(begin, past_end=True)
            yield Field(number, kind, 0, position, position + length)
            position += length
        elif kind in _SIZE:
            size = position - begin + _SIZE[kind]
            if size > stop - begin:
                raise WireError(begin, past_end=True)
            position = begin + size * _run(data, begin, stop, position - begin, size)
            yield Field(number, kind, size, begin, position)
        else:  # groups, which Caffe never had, and types that do not exist
            raise WireError(begin)


def _run(data: bytes, begin: int, stop: int, key: int, size: int) -> int:
    """How many records of the same key follow each other."""
    most = (stop - begin) // size
    records = np.frombuffer(data, np.uint8, most * size, begin).reshape(most, size)
    differs = (records[:, :key] != records[0, :key]).any(axis=1)
    return int(differs.argmax()) if differs.any() else most


def numbers(data: bytes, field: Field, dtype: str) -> np.ndarray:
    """The numbers of a field of floats ("<f4") or doubles ("<f8"), packed or not."""
    width = np.dtype(dtype).itemsize
    if field.type == BYTES:
        if (field.stop - field.start) % width:
            raise WireError(field.start)
        return np.frombuffer(data, dtype, (field.stop - field.start) // width, field.start)
    if _SIZE.get(field.type) != width:
        raise WireError(field.start)
    count = (field.stop - field.start) // field.value
    records = np.frombuffer(data, np.uint8, count * field.value, field.start)
    values = records.reshape(count, field.value)[:, field.value - width :]
    return np.ascontiguousarray(values).view(dtype).reshape(count)


def integers(data: bytes, field: Field) -> list[int]:
    """The signed integers of a field of varints, packed or not."""
    if field.type == VARINT:
        return [signed(field.value)]
    if field.type != BYTES:
        raise WireError(field.start)
    values, position = [], field.start
    while position < field.stop:
        value, position = varint(data, position, field.stop)
        values.append(signed(value))
    return values


def text(data: bytes, field: Field) -> str:
    """A field of text."""
    if field.type != BYTES:
        raise WireError(field.start)
    try:
        return data[field.start : field.stop].decode()
    except UnicodeDecodeError:
        raise WireError(field.start) from None


def encode_varint(value: int) -> bytes:
    """A number of 0 or more as a varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_key(number: int, length: int) -> bytes:
    """What stands before a field of `length` bytes."""
    return encode_varint(number << 3 | BYTES) + encode_varint(length)
