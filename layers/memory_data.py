"""MemoryData: images and labels that the caller hands over.

    top[0] (batch_size, channels, height, width) = the next images     top[1] (batch_size, 1, 1, 1)

    layer.reset(data, labels)      arrays to show, as they are: kept, not copied where they fit
    layer.add(images, labels)      images to transform (transform_param) and show once

After the last image the first follows.  Both take a whole number of batches; `add` refuses while
what was added before has not been shown to its end.  The label's shape is what it has in Caffe
after a forward pass (before the first it is (batch_size) there).  A net whose layer was given
another batch_size takes it at its next `reshape`.

The data are the caller's: a resumed run continues at the same position of what it is given.
Raises SpecError, DataError.  Source: Caffe's src/caffe/layers/memory_data_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from ..errors import DataError, SpecError
from .base import Array, Blob, Context, Shape, Shapes
from .sizes import times
from .source import transformer
from .stream import stream
from .without_gradient import WithoutGradient

_SIZES = ("batch_size", "channels", "height", "width")


class MemoryData(WithoutGradient):
    type = "MemoryData"
    on_host = True
    runs_ahead = False
    bottoms = 0
    tops = 2

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.memory_data_param
        self._shape: Shape = tuple(int(getattr(param, name)) for name in _SIZES)
        if min(self._shape) < 1:
            raise SpecError(
                f"{self.label} does not say how large its data are",
                where=context.where,
                expected=f"{', '.join(_SIZES)} of 1 or more",
                found=times(self._shape),
            )
        self._transform = transformer(self)
        self._data: tuple[Array, Array] | None = None
        self._position = self._added = 0
        self._waiting = False  # what was added is not yet shown to its end

    @property
    def batch_size(self) -> int:
        return self._shape[0]

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        self._refuse_waiting()
        if size < 1:
            raise DataError(f"{self.label} needs a batch_size of 1 or more", found=size)
        self._shape = (size, *self._shape[1:])
        self._data = None  # it was a whole number of other batches

    @property
    def image_shape(self) -> Shape:
        """Channels, height and width."""
        return self._shape[1:]

    def reset(self, data: Any, labels: Any) -> None:
        """Show these: data (n, channels, height, width), labels (n) or (n, 1, 1, 1)."""
        data = np.ascontiguousarray(data, self.context.dtype)
        if data.shape[1:] != self._shape[1:]:
            raise DataError(
                f"{self.label} was given data of another size",
                where=self.context.where,
                expected=f"n x {times(self._shape[1:])}",
                found=times(data.shape),
            )
        self._take(data, labels)
        self._waiting = False

    def add(self, images: Sequence[Any], labels: Any) -> None:
        """Transform images (channels, h, w) and show them: a copy."""
        self._refuse_waiting()
        data = np.empty((len(images), *self._shape[1:]), self.context.dtype)
        rng = stream(self.context, self._added)
        for k, image in enumerate(images):
            self._transform(np.asarray(image), data[k], rng, f"{self.label}, image {k} given")
        self._take(data, labels)
        self._added += len(data)
        self._waiting = True

    def _refuse_waiting(self) -> None:
        if self._waiting:
            raise DataError(f"{self.label} has not yet shown all that was added before")

    def _take(self, data: Array, labels: Any) -> None:
        labels = np.ascontiguousarray(labels, self.context.dtype)
        n, batch = len(data), self._shape[0]
        if n == 0 or n % batch:
            raise DataError(
                f"{self.label} takes whole batches",
                where=self.context.where,
                expected=f"a multiple of {batch} images",
                found=n,
            )
        if labels.shape[:1] != (n,) or prod(labels.shape) != n:
            raise DataError(
                f"{self.label} needs one label for each image",
                where=self.context.where,
                expected=f"shape {n} or {n}x1x1x1",
                found=f"shape {times(labels.shape)}",
            )
        self._data, self._position = (data, labels), 0

    def shapes(self, *bottom: Shape) -> Shapes:
        return Shapes((self._shape, (self._shape[0], 1, 1, 1)))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self._data is None:
            raise DataError(
                f"{self.label} has no data yet",
                where=self.context.where,
                remedy="Hand them over before the forward pass: layer.reset(data, labels)",
            )
        start, batch = self._position, len(top[0].data)
        for blob, array in zip(top, self._data, strict=True):
            blob.data[...] = array[start : start + batch].reshape(blob.shape)
        self._position = (start + batch) % len(self._data[0])
        self._waiting = self._waiting and self._position > 0

    def state(self) -> Mapping[str, Any]:
        return {"position": self._position, "added": self._added}

    def load_state(self, state: Mapping[str, Any]) -> None:
        position = int(state["position"])
        if self._data is not None and not position < len(self._data[0]):
            raise DataError(f"{self.label} had more data when the snapshot was written")
        self._position, self._added = position, int(state["added"])
