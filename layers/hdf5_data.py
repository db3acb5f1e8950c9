"""HDF5Data: training rows from HDF5 files.

    top[i] = the next batch_size rows of the dataset that is called like the top

`source` is a text file that names HDF5 files; it and the paths in it are relative to the folder
the net was given (the current one by default, as in Caffe).  Batches cross file borders, files come
in order, and after the last row the first follows.  `shuffle` permutes files and rows, from the
net's seed.  Files of other sizes are allowed where no batch mixes them (caffe_unet's addition); the
tops then change their shape with the file.  Integers and doubles are converted to the net's type.
No bottom, no gradient.

Where n processes train one net together, batch i goes to process i mod n, and the position counts
what all of them have read.  (Caffe deals out rows, row i to process i mod n: in one iteration all
processes together read the same rows.)

Source: Caffe's src/caffe/layers/hdf5_data_layer.cpp; the reading is data/hdf5.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..data.hdf5 import HDF5Rows, Position
from ..errors import SpecError
from .base import Blob, Context, Shape, Shapes
from .without_gradient import WithoutGradient


class HDF5Data(WithoutGradient):
    type = "HDF5Data"
    bottoms = 0
    on_host = True
    tops = (1, None)

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.hdf5_data_param
        if spec.HasField("transform_param"):
            raise SpecError(
                f"{self.label} does not know transform_param",
                where=context.where,
                remedy="Scale and crop the data when they are packed",
            )
        if not param.source:
            raise SpecError(
                f"{self.label} has no source",
                where=context.where,
                remedy="Name a text file that lists HDF5 files: "
                'hdf5_data_param { source: "train.txt" batch_size: 1 }',
            )
        if param.batch_size < 1:
            raise SpecError(
                f"{self.label} has no batch_size",
                where=context.where,
                expected="hdf5_data_param { batch_size: 1 } or more",
                found=param.batch_size,
            )
        self._batch = int(param.batch_size)
        self._rows = HDF5Rows(
            param.source,
            list(spec.top),
            folder=context.folder,
            dtype=context.dtype,
            shuffle=param.shuffle,
            key=(context.seed, context.index),
            batch=self._batch,
            rank=context.rank,
            ranks=context.ranks,
        )
        self.reshapes, self.samples = self._rows.varies, self._rows.count

    def shapes(self, *bottom: Shape) -> Shapes:
        return Shapes(tuple((self._batch, *row) for row in self._rows.row_shapes))

    def reshape(self, bottom: Sequence[Blob]) -> Shapes:
        return Shapes(tuple((self._batch, *row) for row in self._rows.next_shapes))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._rows.read([blob.data for blob in top])

    def state(self) -> Mapping[str, Any]:
        return asdict(self._rows.position)

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._rows.position = _position(state)

    def origin(self, state: Mapping[str, Any]) -> list[str]:
        """Which rows the pass that begins in this state reads, for messages."""
        return self._rows.origin(_position(state), self._batch)


def _position(state: Mapping[str, Any]) -> Position:
    return Position(**{key: int(value) for key, value in state.items()})
