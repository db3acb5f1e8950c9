"""Copies and sums of arrays of one shape, in whatever order their elements lie in memory.

copy     y = x
add      y += x
clear    y = 0
"""

from __future__ import annotations

from typing import Any

Array = Any


def copy(x: Array, y: Array) -> None:
    """Write y."""
    y[...] = x


def add(x: Array, y: Array) -> None:
    """Add to y."""
    y += x


def clear(y: Array) -> None:
    """Write y."""
    y[...] = 0
