"""HDF5Output: writes its bottoms to an HDF5 file.

    /data = bottom[0]      /label = bottom[1]            no top        dx = 0

Both get four axes, num x channels x height x width, as Caffe writes them.  One pass fills a file,
and a second one is refused, as Caffe fails there.  The file appears whole, in the first pass: until
then what stood there before is untouched (Caffe empties it when the net is built).

With the U-Net fork's fields: `dset_name` names a dataset for each of any number of bottoms, which
keep their shapes (`squeeze` leaves out axes of length 1); a `%d` in file_name or dset_name becomes
the number of the pass, so that passes follow each other in one file or in several.

Raises SpecError, ShapeError, OutputError.
Source: Caffe's src/caffe/layers/hdf5_output_layer.cpp; the fork's file of the same name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from os.path import join
from typing import Any

import numpy as np

from ..errors import OutputError, ShapeError, SpecError
from ..files import check_writable
from ..h5 import create_h5, extend_h5
from .base import Array, Blob, Context, Shape, Shapes
from .counted import Counted
from .sizes import times

_FORMAT = re.compile(r"%(%|0?\d*[diu])")


class HDF5Output(Counted):
    type = "HDF5Output"
    on_host = True
    runs_ahead = False
    bottoms = (1, None)
    tops = 0

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.hdf5_output_param
        self._squeeze = bool(param.squeeze)
        self._fork = len(param.dset_name) > 0
        self._names = list(param.dset_name) if self._fork else ["data", "label"]
        if len(self._names) != len(spec.bottom):
            raise SpecError(
                f"{self.label} has the wrong number of bottoms",
                where=context.where,
                expected=f"{len(self._names)} ({', '.join(self._names)})",
                found=len(spec.bottom),
                remedy="" if self._fork else "Or name a dset_name for each bottom",
            )
        if not param.file_name:
            raise SpecError(f"{self.label} has no file_name", where=context.where)
        for name in self._names:
            if not name.replace("/", "").replace(".", ""):
                raise SpecError(
                    f"{self.label} has a dset_name that names nothing",
                    where=context.where,
                    found=f"'{name}'",
                )
        for pattern in (param.file_name, *self._names):
            if "%" in _FORMAT.sub("", pattern):
                raise SpecError(
                    f"{self.label} has a name with a format that it does not know",
                    where=context.where,
                    expected="%d, %5d or %05d for the number of the pass, %% for a percent sign",
                    found=pattern,
                )
        self._path = join(context.folder, param.file_name)
        check_writable(self._name(self._path, 0))

    @staticmethod
    def _name(pattern: str, number: int) -> str:
        return _FORMAT.sub(lambda m: "%" if m[0] == "%%" else m[0] % number, pattern)

    def _stored(self, shape: Shape) -> Shape:
        """The shape of a bottom in the file."""
        if self._squeeze:
            return tuple(n for n in shape if n != 1)
        return shape if self._fork else (*shape, *(1,) * (4 - len(shape)))

    def shapes(self, *bottom: Shape) -> Shapes:
        names = self.spec.bottom
        for name, shape in zip(names, bottom, strict=True):
            if not self._fork and len(shape) > 4:
                raise ShapeError(
                    f"{self.label} writes at most four axes",
                    where=self.context.where,
                    found=f"'{name}' is {times(shape)}",
                    remedy="Name a dset_name for each bottom: then any shape is written",
                )
        if not self._fork and bottom[0][:1] != bottom[1][:1]:
            raise ShapeError(
                f"{self.label} needs as many labels as data",
                where=self.context.where,
                expected=f"{times(bottom[0][:1])} as in '{names[0]}'",
                found=f"'{names[1]}' is {times(bottom[1])}",
            )
        return Shapes(())

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        path, number = self._name(self._path, self._passes), self._passes
        arrays: dict[str, Array] = {}
        for name, blob in zip(self._names, bottom, strict=True):
            arrays[self._name(name, number)] = blob.data.reshape(self._stored(blob.shape))
        if len(arrays) < len(self._names):
            raise OutputError("two bottoms have the same dset_name", where=path)
        if number == 0 or path != self._name(self._path, number - 1):
            with create_h5(path) as file:
                for name, array in arrays.items():
                    file[name] = np.asarray(array)
        else:
            extend_h5(path, arrays)
        self._passes += 1

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        for blob, down in zip(bottom, propagate_down, strict=True):
            if down:
                blob.diff[...] = 0
