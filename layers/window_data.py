"""WindowData: windows of images, some showing objects, the others background (R-CNN).

    top[0] (batch_size, 3, crop_size, crop_size) = the windows       top[1] (batch_size) = classes

Every batch has int(batch_size * fg_fraction) windows drawn at random from those of objects, after
the others, drawn from the background; both in any phase.  A window is warped to the square
(crop_mode "warp"), or widened to a square before ("square"); context_pad adds so many pixels of its
surroundings on each side.  What would lie outside the image is 0.  data/windows.py: the file and
the geometry.

    y = (x - mean) scale         crop_size, mirror, mean_file or mean_value from transform_param,
                                 scale from window_data_param: Caffe reads it there

Of a mean image the middle is taken, and it is not mirrored.  cache_images keeps the files' bytes in
memory.  Raises SpecError, DataError, ImageError.
Source: Caffe's src/caffe/layers/window_data_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from os.path import join
from typing import Any

import numpy as np

from ..data.pictures import decode, missing, read_file
from ..data.resize import bilinear
from ..data.windows import fit, read_windows
from ..errors import DataError, SpecError
from .base import Array, Blob, Context, Shape, Shapes
from .source import Source, transformer
from .stream import stream

_CHANNELS = 3


class WindowData(Source):
    type = "WindowData"
    tops = 2

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context, "window_data_param")
        self.refuse_moved("scale")
        param = self.param
        transform = transformer(self)
        self._crop, self._mirror = transform.crop, transform.mirror
        if self._crop < 1:
            self._refuse("needs a crop_size", "transform_param { crop_size: 227 }, for example")
        if transform.scale != 1:
            self._refuse(
                "has scale in transform_param, where Caffe ignores it",
                "the same in window_data_param",
            )
        if param.crop_mode not in ("warp", "square"):
            self._refuse(f"has an unknown crop_mode '{param.crop_mode}'", "warp or square")
        if 2 * param.context_pad >= self._crop:
            self._refuse("has no room for its context_pad", "less than half of crop_size")
        self._mean = self._mean_square(transform.mean)
        self._objects = int(np.float32(self.batch) * np.float32(param.fg_fraction))
        if not 0 <= self._objects <= self.batch:
            self._refuse("has an impossible fg_fraction", "a number from 0 to 1")
        found = read_windows(self.source, param.fg_threshold, param.bg_threshold)
        self._windows = found.background, found.objects
        self._paths = [join(context.folder, param.root_folder + path) for path in found.paths]
        lost = missing(self._paths)
        if lost is not None:
            where = f"{self.source}, {lost}"
            raise DataError("does not exist, but is named", where=where, absent=True)
        self._cache: dict[str, bytes] = {}

    def _refuse(self, what: str, expected: str) -> None:
        raise SpecError(f"{self.label} {what}", where=self.context.where, expected=expected)

    def _mean_square(self, mean: np.ndarray) -> np.ndarray:
        """What is subtracted at each place of the square: (3 or 1, crop or 1, crop or 1)."""
        if mean.ndim == 3:
            offset = (mean.shape[2] - self._crop) // 2
            if mean.shape[0] != _CHANNELS or offset < 0 or mean.shape[1] < offset + self._crop:
                raise DataError(
                    f"the mean image of {self.label} does not cover its windows",
                    where=self.context.where,
                    expected=f"{_CHANNELS} x {self._crop} x {self._crop} or larger",
                    found=" x ".join(map(str, mean.shape)),
                )
            middle = slice(offset, offset + self._crop)
            mean = mean[:, middle, middle]
        elif len(mean) not in (0, 1, _CHANNELS):
            self._refuse("has too many or too few mean_value", f"1 or {_CHANNELS}")
        else:
            mean = (mean if len(mean) else np.zeros(1))[:, None, None]
        return mean.astype(self.context.dtype)

    def shapes(self, *bottom: Shape) -> Shapes:
        return Shapes(((self.batch, _CHANNELS, self._crop, self._crop), (self.batch,)))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        rng = stream(self.context, self._items)
        top[0].data[...] = 0
        for k in range(self.batch):
            windows = self._windows[k >= self.batch - self._objects]
            image, label, *box = (int(v) for v in windows[rng.integers(len(windows))])
            mirrored = self._mirror and bool(rng.integers(2))
            self._show(self._paths[image], box, mirrored, top[0].data[k])
            top[1].data[k] = label
        self.passed()

    def _show(self, path: str, box: Sequence[int], mirrored: bool, out: Array) -> None:
        picture = decode(self._bytes(path), colour=True, where=path)
        place = fit(
            (box[0], box[1], box[2], box[3]),
            picture.shape[:2],
            self._crop,
            context_pad=int(self.param.context_pad),
            square=self.param.crop_mode == "square",
            mirrored=mirrored,
            dtype=self.context.dtype,
            where=path,
        )
        x1, y1, x2, y2 = place.part
        window = bilinear(picture[y1 : y2 + 1, x1 : x2 + 1], *place.size)
        if mirrored:
            window = window[:, ::-1]
        (top, left), (height, width) = place.at, place.size
        where = (slice(None), slice(top, top + height), slice(left, left + width))
        target = out[where]
        target[...] = window.transpose(2, 0, 1)
        target -= self._mean[where] if self._mean.shape[1] > 1 else self._mean
        target *= self.context.dtype.type(self.param.scale)

    def _bytes(self, path: str) -> bytes:
        if not self.param.cache_images:
            return read_file(path)
        if path not in self._cache:
            self._cache[path] = read_file(path)
        return self._cache[path]
