"""What the code of a Python layer sees: its base class, and blobs as pycaffe shows them.

    class Double(PythonLayer):
        def setup(self, bottom, top): ...           once; self.param_str, self.phase are set
        def reshape(self, bottom, top):             before every forward
            top[0].reshape(*bottom[0].shape)
        def forward(self, bottom, top):
            top[0].data[...] = 2 * bottom[0].data
        def backward(self, top, propagate_down, bottom):
            bottom[0].diff[...] = 2 * top[0].diff

A blob here either shows arrays of the net, or has its own, made of zeros when they are first asked
for.  As in Caffe a blob that shrinks keeps its first values, and one that grows begins with zeros.

Source: Caffe's python/caffe/_caffe.cpp, include/caffe/layers/python_layer.hpp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from .base import Array, Shape


class PythonBlob:
    """data, diff, and the names pycaffe has for sizes."""

    def __init__(self, shape: Shape, dtype: Any) -> None:
        self._shape, self._dtype = tuple(int(n) for n in shape), np.dtype(dtype)
        self._data: Array = None
        self._diff: Array = None

    def show(self, data: Array, diff: Array = None) -> None:
        """Be these arrays; a diff of None is made when it is asked for."""
        self._shape, self._data, self._diff = data.shape, data, diff

    def lay(self, diff: Array) -> None:
        """Have this diff, beside the data there are."""
        self._diff = diff

    @property
    def data(self) -> Array:
        if self._data is None:
            self._data = np.zeros(self._shape, self._dtype)
        return self._data

    @property
    def diff(self) -> Array:
        if self._diff is None:
            self._diff = np.zeros(self._shape, self._dtype)
        return self._diff

    @property
    def shape(self) -> Shape:
        return self._shape

    def reshape(self, *shape: int) -> None:
        """Take other sizes; there may be fewer axes, or none: `reshape()` makes a single number."""
        self._shape = tuple(int(n) for n in shape)
        self._data = _refitted(self._data, self._shape)
        self._diff = _refitted(self._diff, self._shape)

    def _legacy(self, axis: int) -> int:
        return self._shape[axis] if axis < len(self._shape) else 1

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

    @property
    def count(self) -> int:
        return prod(self._shape)


def _refitted(array: Array, shape: Shape) -> Array:
    """An array's first values in another shape, or None where they are too few."""
    if array is None or prod(shape) > array.size:
        return None
    return array.reshape(-1)[: prod(shape)].reshape(shape)


class PythonBlobs(list[PythonBlob]):
    """A layer's parameters."""

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self._dtype = dtype

    def add_blob(self, *shape: int) -> None:
        """One more parameter, of zeros until its values are written."""
        self.append(PythonBlob(shape, self._dtype))


class PythonLayer:
    """Base of the classes that Python layers name."""

    type = "Python"
    param_str = ""
    phase = 0  # of the net: 0 TRAIN, 1 TEST

    def __init__(self, param: Any) -> None:
        """param: the LayerParameter message."""
        self.blobs = PythonBlobs(np.float32)

    def setup(self, bottom: Sequence[PythonBlob], top: Sequence[PythonBlob]) -> None:
        """Called once, before the first reshape: read param_str, add parameters."""

    def reshape(self, bottom: Sequence[PythonBlob], top: Sequence[PythonBlob]) -> None:
        """Give the tops their shapes."""

    def forward(self, bottom: Sequence[PythonBlob], top: Sequence[PythonBlob]) -> None:
        """Write the tops' data."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(
        self,
        top: Sequence[PythonBlob],
        propagate_down: Sequence[bool],
        bottom: Sequence[PythonBlob],
    ) -> None:
        """Write the bottoms' diffs, add to those of the parameters."""
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def state(self) -> Mapping[str, Any]:
        """What a snapshot must keep (plain numbers and texts); not known to Caffe."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
