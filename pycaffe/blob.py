"""Blobs as scripts see them: live arrays `data` and `diff`, a shape, and `reshape`.

A Blob never holds an array; it asks each time, so it stays right when its net gets new arrays.

Source: Caffe's python/caffe/_caffe.cpp and src/caffe/blob.cpp.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from ..errors import ShapeError
from ..layers import base
from ..net import Net as Engine

Shape = tuple[int, ...]


class Blob(ABC):
    """Two arrays of one shape."""

    @abstractmethod
    def _now(self) -> base.Blob:
        """The arrays as they are now."""

    @abstractmethod
    def reshape(self, *dims: int) -> None:
        """Take another shape."""

    @property
    def data(self) -> np.ndarray:
        found: np.ndarray = self._now().data
        return found

    @property
    def diff(self) -> np.ndarray:
        found: np.ndarray = self._now().diff
        return found

    @property
    def shape(self) -> Shape:
        return self._now().shape

    @property
    def count(self) -> int:
        return self._now().count

    def _legacy(self, axis: int) -> int:
        """A size under its old name; axes that are not there have size 1."""
        shape = self.shape
        if len(shape) > 4:
            raise ShapeError(
                "num, channels, height and width exist only for blobs of up to four axes",
                found=f"shape {shape}",
                remedy="Use shape",
            )
        return shape[axis] if axis < len(shape) else 1

    @property
    def num(self) -> int:
        return self._legacy(0)

    @property
    def channels(self) -> int:
        return self._legacy(1)

    @property
    def height(self) -> int:
        return self._legacy(2)

    @property
    def width(self) -> int:
        return self._legacy(3)


class ParameterBlob(Blob):
    """Blob `index` of a layer."""

    def __init__(self, layer: base.Layer, index: int) -> None:
        self._layer, self._index = layer, index

    def _now(self) -> base.Blob:
        return self._layer.blobs[self._index]

    def reshape(self, *dims: int) -> None:
        if tuple(dims) != self.shape:
            raise ShapeError(
                f"parameter {self._index} of {self._layer.label} cannot take another shape",
                where=self._layer.context.where,
                expected=" x ".join(map(str, self.shape)),
                found=" x ".join(map(str, dims)),
                remedy="Change the layer in the prototxt",
            )


class NetBlob(Blob):
    """The blob `name` of a net."""

    def __init__(self, blobs: NetBlobs, name: str) -> None:
        self._blobs, self._name = blobs, name

    def _now(self) -> base.Blob:
        return self._blobs.now(self._name)

    def reshape(self, *dims: int) -> None:
        self._blobs.reshape(self._name, tuple(int(d) for d in dims))


class NetBlobs:
    """The blobs of a net between its passes.

    A blob that was reshaped has new arrays at once; the net follows when it runs next, or when
    `settle` is called, as Caffe's nets do.  Only inputs keep a new shape: that of other blobs is
    their layers' to say.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._waiting: dict[str, base.Blob] = {}
        self._idle: dict[str, np.ndarray] = {}  # diffs of blobs that no gradient reaches: zeros

    def now(self, name: str) -> base.Blob:
        if name in self._waiting:
            return self._waiting[name]
        blob = self.engine.blobs[name]
        if blob.diff is not None:
            return blob
        if name not in self._idle or self._idle[name].shape != blob.shape:
            self._idle[name] = np.zeros_like(blob.data)
        return base.Blob(blob.data, self._idle[name])

    def reshape(self, name: str, dims: Shape) -> None:
        """New arrays of this shape; what they hold goes on in order, then come zeros."""
        old = self.now(name)
        if dims == old.shape:
            return
        if any(d < 1 for d in dims):
            raise ShapeError(f"blob '{name}' cannot have a size below 1", found=f"shape {dims}")
        self._waiting[name] = base.Blob(_resized(old.data, dims), _resized(old.diff, dims))

    def settle(self) -> None:
        """Give the net the inputs' new shapes, and what was written into them."""
        if not self._waiting:
            return
        engine = self.engine
        shapes = {name: self.now(name).shape for name in engine.inputs}
        if any(shape != engine.blobs[name].shape for name, shape in shapes.items()):
            engine.reshape(shapes)
        given = {name: blob for name, blob in self._waiting.items() if name in shapes}
        self._waiting.clear()
        for name, blob in given.items():
            engine.blobs[name].data[...] = blob.data


def _resized(array: np.ndarray, dims: Shape) -> np.ndarray:
    new = np.zeros(dims, array.dtype)
    n = min(new.size, array.size)
    new.reshape(-1)[:n] = array.reshape(-1)[:n]
    return new
