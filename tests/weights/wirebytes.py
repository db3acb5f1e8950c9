"""Protobuf messages made by hand, byte by byte, in every dialect a parameter file may have."""

from __future__ import annotations

import struct

import numpy as np


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value & (1 << 64) - 1)


def block(field: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def packed(field: int, values, code: str = "f") -> bytes:
    return block(field, struct.pack(f"<{np.size(values)}{code}", *np.ravel(values)))


def unpacked(field: int, values, code: str = "f") -> bytes:
    key = varint(field << 3 | {"f": 5, "d": 1}[code])
    return b"".join(key + struct.pack(f"<{code}", v) for v in np.ravel(values))


def shape(*dims: int) -> bytes:
    return block(7, block(1, b"".join(varint(d) for d in dims)))


def legacy(*dims: int) -> bytes:
    return b"".join(number(i, d) for i, d in enumerate(dims, 1))


def v2(name: str, *blobs: bytes, rest: bytes = b"") -> bytes:
    blobs_field = b"".join(block(7, blob) for blob in blobs)
    return block(100, block(1, name) + block(2, "Convolution") + rest + blobs_field)


def v1(name: str, *blobs: bytes, type: int = 4) -> bytes:
    blobs_field = b"".join(block(6, blob) for blob in blobs)
    # bottom 2, top 3, type 5 (4: CONVOLUTION), blobs_lr 7, and a parameter message of 10
    head = block(2, "data") + block(3, "x") + block(4, name) + number(5, type)
    return block(2, head + blobs_field + unpacked(7, [1, 2]) + block(10, number(1, 64)))


def v0(name: str, *blobs: bytes, type: str = "conv") -> bytes:
    blobs_field = b"".join(block(50, blob) for blob in blobs)
    inner = block(1, name) + block(2, type) + number(3, 64) + blobs_field + unpacked(51, [1, 2])
    return block(2, block(1, inner) + block(2, "data") + block(3, "x"))


def net(*layers: bytes, name: str = "net") -> bytes:
    return block(1, name) + b"".join(layers)
