"""What layers read and write."""

from __future__ import annotations

from typing import Any

Shape = tuple[int, ...]
Array = Any  # numpy.ndarray or cupy.ndarray


class Blob:
    """Two arrays of one shape: what a layer computed (data), and the gradient by it (diff)."""

    __slots__ = ("data", "diff")

    def __init__(self, data: Array, diff: Array = None) -> None:
        self.data, self.diff = data, diff

    @property
    def shape(self) -> Shape:
        return tuple(self.data.shape)

    @property
    def count(self) -> int:
        return int(self.data.size)
