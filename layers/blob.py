"""What layers read and write."""

from __future__ import annotations

from typing import Any

Shape = tuple[int, ...]
Array = Any  # numpy.ndarray or cupy.ndarray


class Blob:
    """Two arrays of one shape: what a layer computed (data), and the gradient by it (diff)."""

    __slots__ = ("data", "diff")
    data: Array
    diff: Array

    def __init__(self, data: Array, diff: Array = None) -> None:
        self.bind(data, diff)

    def bind(self, data: Array, diff: Array) -> None:
        """Have these arrays from now on."""
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "diff", diff)

    @property
    def shape(self) -> Shape:
        return tuple(self.data.shape)

    @property
    def count(self) -> int:
        return int(self.data.size)


class HeldBlob(Blob):
    """One of a net's own, as it shows them to others: they write into its arrays.  Another array in
    the place of one would be one that the net knows nothing of, so that is an AttributeError."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        if value is not getattr(self, name, None):  # else it was changed in place: data += 1
            raise AttributeError(
                f"the {name} of a net's blob is an array of the net: write into it, "
                f"blob.{name}[...] = values"
            )
