"""How arrays are handed to our kernels: a map of their elements, a grid, and typed scalars."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

Array = Any
THREADS = 256  # of a block, in all kernels but the matrix products
ROWS = 65535  # blocks along y, at most
BLOCKS = 1024  # blocks along x, at most: enough for every card, and never chosen by the card
WIDE = 4  # channels of a word
PARTS = 256  # partial sums of a loss

MAP = np.dtype(  # map.cuh: struct Map
    [
        ("images", "i4"),
        ("channels", "i4"),
        ("places", "i8"),
        ("image", "i8"),
        ("channel", "i8"),
        ("place", "i8"),
    ],
    align=True,
)
TYPES = {"float32": "float", "float64": "double", "uint8": "unsigned char", "int32": "int"}


def record(dtype: np.dtype, *values: Any) -> np.ndarray:
    """A struct by value."""
    return np.array([values], dtype)


def map_of(x: Array) -> np.ndarray:
    """Images, channels and places of an array (N, C, *S); one of fewer axes is one channel."""
    shape, strides = tuple(x.shape), tuple(s // x.dtype.itemsize for s in x.strides)
    if len(shape) < 2:
        return record(MAP, 1, 1, prod(shape), 0, 0, strides[0] if strides else 0)
    step = 0
    for n, s in reversed(list(zip(shape[2:], strides[2:], strict=True))):
        if n == 1:
            continue
        if step == 0:
            first, step = s, s
        assert s == step, f"the places of {shape} are not evenly spaced: strides {strides}"
        step = s * n
    return record(
        MAP, shape[0], shape[1], prod(shape[2:]), strides[0], strides[1], first if step else 1
    )


def last(of: np.ndarray) -> bool:
    """Whether the channels of a place are neighbours."""
    m = of[0]
    return bool(m["channels"] > 1 and m["channel"] < m["place"])


def address(x: Array) -> int:
    """Where the first element is."""
    interface = getattr(x, "__cuda_array_interface__", None) or x.__array_interface__
    found: int = interface["data"][0]
    return found


def wide(*pairs: tuple[Array, np.ndarray]) -> int:
    """How many channels of a place a thread may take at once, as one word in each of these arrays,
    of which the maps are given: 4 or 1."""
    for x, of in pairs:
        m = of[0]
        steps = [int(m["place"]), int(m["image"]) if m["images"] > 1 else 0, int(m["channels"])]
        if not last(of) or m["channel"] != 1 or any(step % WIDE for step in steps):
            return 1
        if address(x) % (WIDE * x.dtype.itemsize):
            return 1
    return WIDE


def grid(of: np.ndarray, wide: int = 1) -> tuple[int, int]:
    """Blocks for every element of a map, of which a thread has `wide` at once."""
    m = of[0]
    places, rows = int(m["places"]), int(m["images"]) * int(m["channels"])
    if last(of):
        places, rows = places * int(m["channels"]) // wide, int(m["images"])
    return blocks(places), max(1, min(rows, ROWS))


def places_grid(of: np.ndarray) -> tuple[int, int]:
    """Blocks for every place of a map."""
    m = of[0]
    return blocks(int(m["places"])), max(1, min(int(m["images"]), ROWS))


def blocks(count: int) -> int:
    return max(1, min(-(-count // THREADS), BLOCKS))


def scalar(value: Any, x: Array) -> np.generic:
    """A number of an array's type."""
    return x.dtype.type(value)


def name(x: Array) -> str:
    """The C++ type of an array's elements."""
    return TYPES[str(x.dtype)]


def flag(value: bool) -> str:
    return "true" if value else "false"
