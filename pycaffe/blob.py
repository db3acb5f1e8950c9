"""Blobs as scripts see them: live arrays `data` and `diff`, a shape, and `reshape`.

A Blob never holds an array; it asks each time, so it stays right when its net gets new arrays.
Where these are on a device, a script gets their twins on the host (`synced`).

Source: Caffe's python/caffe/_caffe.cpp and src/caffe/blob.cpp.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..layers import base
from ..net import Net as Engine
from ..netspec.graph import Value
from .synced import Twin, Twins, twins

Shape = tuple[int, ...]


class Blob(ABC):
    """Two arrays of one shape."""

    @abstractmethod
    def _now(self) -> base.Blob:
        """The arrays as they are now, wherever they are."""

    @abstractmethod
    def _host(self, side: str) -> np.ndarray:
        """One of them where a script can use it."""

    @abstractmethod
    def reshape(self, *dims: int) -> None:
        """Take another shape."""

    @property
    def data(self) -> np.ndarray:
        return self._host("data")

    @property
    def diff(self) -> np.ndarray:
        return self._host("diff")

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
        self._twins, self._held = twins(layer.context.device), dict[str, Twin]()

    def _now(self) -> base.Blob:
        return self._layer.blobs[self._index]

    def _host(self, side: str) -> np.ndarray:
        return on_host(getattr(self._now(), side), self._twins, self._held, side)

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

    def _host(self, side: str) -> np.ndarray:
        return self._blobs.host(self._name, side)

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
        self._followed: int | None = None  # up to which layer the net took the inputs' shapes
        self._idle: dict[str, np.ndarray] = {}  # diffs of blobs that no gradient reaches: zeros
        self.twins, self._held = twins(engine.device), dict[tuple[str, str], Twin]()
        # the last version of every input, and who makes it
        self._inputs: dict[str, tuple[int, Value]] = {
            top.blob: (node.index, top)
            for node in engine.graph.nodes
            for top in node.tops
            if top.blob in engine.inputs and not engine.device.on_host
        }

    def now(self, name: str) -> base.Blob:
        if name in self._waiting:
            return self._waiting[name]
        blob = self.engine.blobs[name]
        if blob.diff is not None:
            return blob
        if name not in self._idle or self._idle[name].shape != blob.shape:
            self._idle[name] = np.zeros(blob.shape, self.engine.dtype)
        return base.Blob(blob.data, self._idle[name])

    def host(self, name: str, side: str) -> np.ndarray:
        """Its data or diff as a script sees it."""
        return on_host(getattr(self.now(name), side), self.twins, self._held, (name, side))

    def reshape(self, name: str, dims: Shape) -> None:
        """New arrays of this shape; what they hold goes on in order, then come zeros."""
        old = self.now(name)
        if dims == old.shape:
            return
        if any(d < 1 for d in dims):
            raise ShapeError(f"blob '{name}' cannot have a size below 1", found=f"shape {dims}")
        sides = (_resized(self.host(name, side), dims) for side in ("data", "diff"))
        self._waiting[name] = base.Blob(*sides)

    def settle(self, last: int | None = None) -> None:
        """Give the net the inputs' new shapes, and what was written into them; last: layers above
        that one are not to run, so those that cannot follow do so when they are."""
        engine = self.engine
        last = None if last == len(engine.layers) - 1 else last
        behind = self._followed is not None and (last is None or last > self._followed)
        if not self._waiting and not behind:
            return
        shapes = {name: self.now(name).shape for name in engine.inputs}
        moved = any(shape != engine.blobs[name].shape for name, shape in shapes.items())
        if moved or behind:
            made = [] if moved else [_copied(blob) for blob in engine.blobs.values()]
            self._held.clear()  # or they would keep the old memory
            try:
                engine.reshape(shapes)
                self._followed = None
            except ShapeError:
                if last is None:
                    raise
                engine.reshape(shapes, last)
                self._followed = last
            for blob, old in zip(engine.blobs.values(), made, strict=bool(made)):
                _take_over(blob, old)
        given = {name: blob for name, blob in self._waiting.items() if name in shapes}
        self._waiting.clear()
        for name, blob in given.items():
            engine.blobs[name].data[...] = blob.data

    def take(self) -> None:
        """Let a part of the net, which may begin below its inputs, read what stands in them: on a
        device only a pass from the first layer copies them in."""
        for name, (_, value) in self._inputs.items():
            self.engine.device.write(self.engine.values[value].data, self.engine.blobs[name].data)

    def show(self, start: int, end: int) -> None:
        """Layers start..end have run on a device: show what they made of inputs in place."""
        for name, (maker, value) in self._inputs.items():
            if value.version and start <= maker <= end:
                made = self.engine.device.host(self.engine.values[value].data)
                self.engine.blobs[name].data[...] = made


def on_host(array: base.Array, twins: Twins, held: dict[Any, Twin], name: object) -> np.ndarray:
    """An array or its twin, which is held under that name."""
    if isinstance(array, np.ndarray):
        return array
    held[name] = twins.of(array)
    return held[name].host


def _copied(blob: base.Blob) -> base.Blob:
    return base.Blob(blob.data.copy(), None if blob.diff is None else blob.diff.copy())


def _take_over(blob: base.Blob, old: base.Blob) -> None:
    """What a blob held, where its shape stayed."""
    if blob.shape == old.shape:
        blob.data[...] = old.data
        if blob.diff is not None and old.diff is not None:
            blob.diff[...] = old.diff


def _resized(array: np.ndarray, dims: Shape) -> np.ndarray:
    new = np.zeros(dims, array.dtype)
    n = min(new.size, array.size)
    new.reshape(-1)[:n] = array.reshape(-1)[:n]
    return new
