"""The global heaps of an HDF5 file, where strings of variable length lie, looked at before HDF5 is.

    collection:  "GCOL", version 1, 0 0 0, size (8 bytes), then objects up to that size
    object:      number (2), references (2), 0 0 0 0, size (8), the bytes, padded to 8
                 number 0: what is free; its size counts these 16 bytes

HDF5 (2.0, and before) goes from object to object by these sizes; a free part of size 0, or a size
that wraps around 2^64, keeps it in one place for ever, where no signal reaches Python.

Source: HDF5 File Format Specification 3.0, section III.E; found by fuzz/hdf5.py.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from collections.abc import Callable
from functools import cache

import numpy as np

_START = b"GCOL\x01\0\0\0"  # eight bytes that do not occur by chance
_HEAD = 16  # bytes of a collection's header, and of an object's
_LEAST = 4096  # bytes of a collection
_MOST = 1 << 30  # bytes of a file that are searched


def endless(path: str | os.PathLike[str]) -> int | None:
    """The offset of the first object from which HDF5 would not get on; None where all is well."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _HEAD:
            return None
        with mmap.mmap(file.fileno(), min(size, _MOST), access=mmap.ACCESS_READ) as data:
            at = _find(data, 0)
            while at >= 0:
                stuck = _stuck(data, at)
                if stuck is not None:
                    return stuck
                at = _find(data, at + 1)
    return None


def _find(data: mmap.mmap, start: int) -> int:
    """data.find(_START, start), by the C library where it can: that lets other threads run."""
    search = _memmem()
    if search is None:
        return data.find(_START, start)
    first = np.frombuffer(data, np.uint8).ctypes.data
    found = search(first + start, len(data) - start, _START, len(_START))
    return found - first if found else -1


@cache
def _memmem() -> Callable[..., int | None] | None:
    """The C library's search; None where it has none."""
    found = getattr(ctypes.CDLL(None), "memmem", None) if os.name == "posix" else None
    if found is not None:
        found.restype = ctypes.c_void_p
        found.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    return found


def _stuck(data: mmap.mmap, start: int) -> int | None:
    """The offset of the first object of a collection that does not lead on to another."""
    stop = start + int.from_bytes(data[start + 8 : start + 16], "little")
    if not start + _LEAST <= stop <= len(data):  # HDF5 refuses these itself
        return None
    at = start + _HEAD
    while at + _HEAD <= stop:
        number, size = struct.unpack_from("<H6xQ", data, at)
        step = size if number == 0 else _HEAD + (size + 7) // 8 * 8
        if step < _HEAD or step > stop - at:
            return at
        at += step
    return None
