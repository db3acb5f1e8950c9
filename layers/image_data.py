"""ImageData: images and labels that a text file lists.

    top[0] (batch_size, c, h, w) = the next images, transformed      top[1] (batch_size) = labels

`source` has lines `path label`; root_folder is put before each path (as it stands: end it with /).
is_color reads 3 channels, blue first, else 1; new_height and new_width, given together, resize as
OpenCV does.  shuffle permutes the lines anew in every epoch; rand_skip begins at a random one of
the first rand_skip lines.  transform_param: data/transform.py.  Without crop_size and new sizes a
batch has the size of its first image, so the tops may change from pass to pass.

Raises SpecError, DataError, ImageError.  Source: Caffe's src/caffe/layers/image_data_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os.path import join
from typing import Any

import numpy as np

from ..data.image_list import read_image_list
from ..data.pictures import missing, read
from ..errors import DataError, SpecError
from .base import Blob, Context, Shape, Shapes
from .source import Source, transformer
from .stream import stream

_SHUFFLE, _SKIP = 1, 2  # streams beside that of the transformations


class ImageData(Source):
    type = "ImageData"
    tops = 2

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context, "image_data_param")
        self.refuse_moved()
        param = self.param
        if bool(param.new_height) != bool(param.new_width):
            raise SpecError(
                f"{self.label} needs new_height and new_width together, or neither",
                where=context.where,
                found=f"new_height {param.new_height}, new_width {param.new_width}",
            )
        self._size = (int(param.new_height), int(param.new_width)) if param.new_height else None
        self._transform = transformer(self)
        entries = read_image_list(self.source)
        self._paths = [join(context.folder, param.root_folder + name) for name, _ in entries]
        self._labels = [label for _, label in entries]
        self.samples = len(entries)
        lost = missing(self._paths)
        if lost is not None:
            where = f"{self.source}, {lost}"
            raise DataError("does not exist, but the list names it", where=where, absent=True)
        self._skip = 0
        if param.rand_skip:
            self._skip = int(stream(context, 0, _SKIP, common=True).integers(param.rand_skip))
            if self._skip >= len(entries):
                raise DataError(
                    "has too few images to skip some",
                    where=self.source,
                    expected=f"at least rand_skip: {param.rand_skip}",
                    found=len(entries),
                )
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, int))
        self.reshapes = not (self._transform.crop or self._size)
        self._first = self._image(0)  # (where in the source, image), also to reshape by
        self._top = self._first[1].shape

    def _line(self, item: int) -> int:
        """The line from which an item comes."""
        epoch, row = divmod(self._skip + item, len(self._paths))
        if not self.param.shuffle:
            return row
        if self._order[0] != epoch:
            rng = stream(self.context, epoch, _SHUFFLE, common=True)
            self._order = epoch, rng.permutation(len(self._paths))
        return int(self._order[1][row])

    def _image(self, item: int) -> tuple[int, np.ndarray]:
        path = self._paths[self._line(item)]
        image = read(path, colour=self.param.is_color, size=self._size)
        return item, image.transpose(2, 0, 1)

    def _shapes(self, image: Shape, item: int) -> Shapes:
        shape = self._transform.shape(image, self._paths[self._line(item)])
        return Shapes(((self.batch, *shape), (self.batch,)))

    def origin(self, state: Mapping[str, Any]) -> list[str]:
        """Which images the pass that begins in this state reads, for messages."""
        start = self.mine(int(state["items"]))
        return [self._paths[self._line(start + k)] for k in range(self.batch)]

    def shapes(self, *bottom: Shape) -> Shapes:
        return self._shapes(self._top, 0)

    def reshape(self, bottom: Sequence[Blob]) -> Shapes:
        self._first = self._image(self.first)
        return self._shapes(self._first[1].shape, self.first)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        rng = stream(self.context, self._items)
        for k in range(self.batch):
            item = self.first + k
            image = self._first[1] if self._first[0] == item else self._image(item)[1]
            line = self._line(item)
            self._transform(image, top[0].data[k], rng, self._paths[line])
            top[1].data[k] = self._labels[line]
        self.passed()
