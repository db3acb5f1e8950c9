"""Data: images and labels from an LMDB database of Datum messages.

    top[0] (batch_size, c, h, w) = the next images, transformed      top[1] (batch_size) = labels

Rows come in the order of their keys, and after the last the first again.  transform_param:
data/transform.py; force_color and force_gray say how pictures stored as files are decoded, and
mean nothing for others.  Without crop_size a batch has the size of its first image, so the tops
may change from pass to pass.  As in Caffe rand_skip and force_encoded_color do nothing; prefetch
neither, because net/ahead.py says how many passes are made ahead.

LevelDB is refused.  Raises SpecError, DataError, ImageError.
Source: Caffe's src/caffe/layers/data_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os.path import exists, join
from typing import Any

import numpy as np

from ..data.datum import unpack
from ..data.records import Records
from ..errors import SpecError
from ..netspec import schema
from .base import Blob, Context, Shape, Shapes
from .source import Source, transformer
from .stream import stream

Item = tuple[np.ndarray, int, str]  # image, label, the row's name


class Data(Source):
    type = "Data"
    tops = (1, 2)

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context, "data_param")
        self.refuse_moved()
        if schema.enum_name(self.param, "backend") != "LMDB":
            lmdb = exists(join(self.source, "data.mdb"))
            raise SpecError(
                f"{self.label} reads LevelDB, which demitasse does not"
                + ("" if self.param.HasField("backend") else " (Caffe's default)"),
                where=context.where,
                remedy="The source is LMDB: write data_param { backend: LMDB }"
                if lmdb
                else "Convert the images to LMDB with tools/convert_imageset.py, "
                "then write backend: LMDB",
            )
        transform = spec.transform_param
        self._transform = transformer(self)
        self._colour = True if transform.force_color else False if transform.force_gray else None
        self._records = Records(self.source)
        self.samples = self._records.count
        self.reshapes = not self._transform.crop
        self._first = self._load(0, 1)[0]
        self._read: tuple[int, list[Item]] = (-1, [])  # a batch that `reshape` has looked at

    def _load(self, start: int, count: int) -> list[Item]:
        names = [
            (self._records.where(key), value) for key, value in self._records.read(start, count)
        ]
        return [(*unpack(value, colour=self._colour, where=name), name) for name, value in names]

    def origin(self, state: Mapping[str, Any]) -> list[str]:
        """Which rows the pass that begins in this state reads, for messages."""
        first = self.mine(int(state["items"]))
        rows = ((first + k) % self._records.count for k in range(self.batch))
        return [f"{self.source}, row {row}" for row in rows]

    def _next(self) -> list[Item]:
        if self._read[0] != self._items:
            self._read = self._items, self._load(self.first, self.batch)
        return self._read[1]

    def _shapes(self, item: Item) -> Shapes:
        image = self._transform.shape(item[0].shape, item[2])
        return Shapes(((self.batch, *image), (self.batch,))[: len(self.spec.top)])

    def shapes(self, *bottom: Shape) -> Shapes:
        return self._shapes(self._first)

    def reshape(self, bottom: Sequence[Blob]) -> Shapes:
        return self._shapes(self._next()[0])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        rng = stream(self.context, self._items)
        for k, (image, label, where) in enumerate(self._next()):
            self._transform(image, top[0].data[k], rng, where)
            if len(top) > 1:
                top[1].data[k] = label
        self._read = -1, []
        self.passed()
