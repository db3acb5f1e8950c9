"""Pooling: the maximum (MAX) or the mean (AVE) of every window of every channel.

    y[o] = max_k x[s o - p + k]        or        sum_k x[s o - p + k] / n[o]

    x (.., C, *S) -> y (.., C, *O),  O = ceil((S + 2 p - k) / s) + 1

One window less if the last would lie wholly in padding; rounded down with round_mode FLOOR; n[o] is
the window's size within the padded bottom.  A second top (MAX) gets where each maximum was found,
as a float: its row-major place in the channel, -1 in an empty window.  The axes up to `axis` are
images and channels, those behind it are pooled, however many there are (Caffe: two).

ShapeError where no window fits, or the padding is as large as the kernel.
Source: Caffe's src/caffe/layers/pooling_layer.cpp; STOCHASTIC, which Caffe has on GPUs only, is
refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ..errors import GraphError, ShapeError, SpecError
from ..kernels import pooling
from ..kernels.im2col import Window
from ..kernels.workers import Room
from .axes import axis_of
from .base import Array, Blob, Buffer, Context, Shape, Shapes
from .sizes import times
from .windows import Windowed, check_pair, check_window


class Pooling(Windowed):
    type = "Pooling"
    records = True
    tops = (1, 2)
    repeats = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self.param = param = spec.pooling_param
        self.any_layout = param.axis == 1
        self.is_max = self.picks = param.pool == param.MAX
        if param.pool == param.STOCHASTIC:
            raise SpecError(
                f"{self.label} asks for STOCHASTIC pooling, which demitasse does not have",
                where=context.where,
                expected="MAX or AVE",
            )
        if len(spec.top) == 2 and not self.is_max:
            raise GraphError(
                f"{self.label} has a second top, '{spec.top[1]}', but only MAX pooling knows where "
                "its result comes from",
                where=context.where,
            )
        if param.global_pooling:
            self._check_global()
        else:
            check_window(self, param)
            check_pair(self, param, "pad")

    def _check_global(self) -> None:
        """Refuse a window of one's own where all of the bottom is the window."""
        param, where = self.param, self.context.where
        if len(param.kernel_size) or param.HasField("kernel_h") or param.HasField("kernel_w"):
            raise SpecError(
                f"{self.label} gives a kernel size, but global_pooling takes the whole bottom",
                where=where,
                remedy="Keep one of the two",
            )
        for field, only in (("pad", 0), ("stride", 1)):
            sides = (side for side in (f"{field}_h", f"{field}_w") if param.HasField(side))
            given = [*getattr(param, field), *(getattr(param, side) for side in sides)]
            if set(given) - {only}:
                raise SpecError(
                    f"{self.label} gives a {field}, but global_pooling takes the whole bottom",
                    where=where,
                    expected=f"{field}: {only}, or none",
                    found=", ".join(map(str, given)),
                )

    def shapes(self, *bottom: Shape) -> Shapes:
        shape = bottom[0]
        axis = axis_of(self, self.param.axis, shape)
        size = shape[axis + 1 :]
        if not size:
            raise ShapeError(
                f"{self.label} has nothing to pool: axis {axis} is the last one of its bottom "
                f"'{self.spec.bottom[0]}'",
                where=self.context.where,
                found=f"shape {times(shape)}",
            )
        window = self._window(size)
        if any(p >= k for p, k in zip(window.pad, window.kernel, strict=True)):
            raise ShapeError(
                f"{self.label} pads as much as its kernel covers, so that windows could be empty",
                where=self.context.where,
                expected=f"pad below {times(window.kernel)}",
                found=times(window.pad),
            )
        out = pooling.outputs(size, window, self.param.round_mode == self.param.CEIL)
        if min(out) < 1:
            raise ShapeError(
                f"{self.label} has windows larger than its bottom '{self.spec.bottom[0]}'",
                where=self.context.where,
                expected=f"at least {times(window.kernel)}",
                found=times(n + 2 * p for n, p in zip(size, window.pad, strict=True)),
            )
        top, planes = (*shape[: axis + 1], *out), prod(shape[: axis + 1])
        return Shapes(
            tops=(top,) * len(self.spec.top),
            saved=(Buffer(top, pooling.arg_dtype(window)),) if self.is_max else (),
            scratch=self.context.device.pooling.scratch_size(
                (planes, *size), (planes, *out), self.context.dtype.itemsize, self._room()
            ),
        )

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        kernel = self.context.device.pooling
        x, y = self._images(bottom[0].data), self._images(top[0].data)
        window = self._window(x.shape[2:])
        if not self.is_max:
            kernel.average_forward(x, y, window, self._room())
            return
        arg = self._images(self.saved[0])
        kernel.max_forward(x, y, arg, window, self._room())
        if len(top) == 2:
            index = self._images(top[1].data)
            kernel.max_index(arg, index, x.shape[2:], window, self._room())

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if not propagate_down[0]:
            return
        kernel = self.context.device.pooling
        dy, dx = self._images(top[0].diff), self._images(bottom[0].diff)
        window = self._window(dx.shape[2:])
        if self.rectifies:
            self.context.device.columns.rectify_gradient(top[0].data, top[0].diff, self._room())
        if self.is_max:
            kernel.max_backward(dy, self._images(self.saved[0]), dx, window, self._room())
        else:
            kernel.average_backward(dy, dx, window, self._room())

    def _room(self) -> Room:
        return Room(0, self.context.workers, self.scratch)

    def _window(self, size: Shape) -> Window:
        n = len(size)
        if self.param.global_pooling:
            return Window(size, (1,) * n, (0,) * n, (1,) * n)
        return self.window(n)

    def _images(self, array: Array) -> Array:
        """(images, channels, *spatial)"""
        axis = self.param.axis % array.ndim
        return array.reshape(prod(array.shape[:axis]), *array.shape[axis:])
