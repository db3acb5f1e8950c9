"""DummyData: blobs made by fillers.

    top[i] ~ data_filler[i]                 no bottom, no gradient

One filler or none (zeros) or one for each top; one shape or one for each top, either as `shape` or
in the old four fields num, channels, height, width.  A random top is drawn anew by every forward
pass, pass k from counter k of the layer's stream, so a resumed run goes on exactly.  A constant
one is written anew too, unless the net keeps every blob: then once, as in Caffe, so that a caller
may put something else there.  Otherwise the net may have used its memory since.

Source: Caffe's src/caffe/layers/dummy_data_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ShapeError, SpecError
from .base import Blob, Context, Shape, Shapes
from .counted import Counted
from .filler import check, fill
from .sizes import times
from .stream import stream
from .without_gradient import WithoutGradient

_OLD = ("num", "channels", "height", "width")


class DummyData(WithoutGradient, Counted):
    type = "DummyData"
    on_host = True
    bottoms = 0
    tops = (1, None)

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._prepared = False
        param = spec.dummy_data_param
        old = {field: list(getattr(param, field)) for field in _OLD}
        if len(param.shape) and any(old.values()):
            raise SpecError(
                f"{self.label} gives its sizes twice: as shape and as num, channels, height, width",
                where=context.where,
                remedy="Keep the shape",
            )
        self._shapes: list[Shape]
        if any(old.values()):
            columns = [self._one_each(field, sizes) for field, sizes in old.items()]
            self._shapes = list(zip(*columns, strict=True))
        else:
            shapes = [tuple(int(d) for d in shape.dim) for shape in param.shape]
            self._shapes = self._one_each("shape", shapes)
        self._fillers = self._one_each("data_filler", list(param.data_filler) or [None])

    def _one_each(self, field: str, values: list[Any]) -> list[Any]:
        n = len(self.spec.top)
        if len(values) not in (1, n):
            raise SpecError(
                f"{self.label} has the wrong number of '{field}' entries",
                where=self.context.where,
                expected=f"one for each of its {n} tops, or one for all" if n > 1 else "one",
                found=len(values),
            )
        return values if len(values) == n else values * n

    def shapes(self, *bottom: Shape) -> Shapes:
        for shape, filler, top in zip(self._shapes, self._fillers, self.spec.top, strict=True):
            where = f"{self.context.where}: {self.label}, top '{top}'".lstrip(": ")
            if any(size < 1 for size in shape):
                raise ShapeError("has a size below 1", where=where, found=f"shape {times(shape)}")
            if filler is not None:
                check(shape, filler, where=where)
        return Shapes(tuple(self._shapes))

    def prepare(self, top: Sequence[Blob]) -> None:
        self._write(top, stream(self.context, self._passes))
        self._prepared = True

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._write(top, stream(self.context, self._passes))
        self._passes += 1

    def _write(self, top: Sequence[Blob], rng: Any) -> None:
        for blob, filler in zip(top, self._fillers, strict=True):
            constant = filler is None or filler.type == "constant"
            if constant and self._prepared:
                continue
            if filler is None:
                blob.data[...] = 0
            else:
                fill(blob.data, filler, rng, caffe_unet_2015=self.context.caffe_unet_2015)
