"""What Convolution and Deconvolution share: their message, their parameters, and the loop.

Every bottom is filtered into the top of the same index with the same weights.  The axes before
`axis` are images, `axis` holds the channels, those behind it are spatial.  `engine` and
`force_nd_im2col` choose among implementations in Caffe; here there is one.

Errors: SpecError for a message that is wrong by itself, ShapeError for one that does not fit its
bottom.  Source: Caffe's src/caffe/layers/base_conv_layer.cpp.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import prod
from types import ModuleType
from typing import Any, ClassVar

from ..errors import DemitasseError, GraphError, ShapeError, SpecError
from ..kernels.im2col import Window
from .axes import axis_of
from .base import Array, Blob, Context, Layer, Shape, Shapes
from .sizes import times
from .windows import check_window, read_window


class Filtering(Layer):
    bottoms = (1, None)
    tops = (1, None)
    backward_reads = ("bottom*",)
    kernel: ClassVar[ModuleType]

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self.param = spec.convolution_param
        self.outputs, self.group = int(self.param.num_output), int(self.param.group)
        self._budget = context.budget // context.dtype.itemsize
        if len(spec.bottom) != len(spec.top):
            raise GraphError(
                f"{self.label} makes one top of each bottom",
                where=context.where,
                expected=f"{len(spec.bottom)} tops",
                found=f"{len(spec.top)} ({', '.join(spec.top)})",
            )
        for field, value in (("num_output", self.outputs), ("group", self.group)):
            if value < 1:
                raise SpecError(
                    f"{self.label} has no {field}", where=context.where, expected="1 or more"
                )
        check_window(self, self.param)
        self._check_groups("num_output", self.outputs, SpecError)

    @abstractmethod
    def geometry(self, channels: int, size: Shape, window: Window) -> tuple[Shape, Shape]:
        """Shape of the weights, and spatial size of the tops; ShapeError where there is none."""

    def window(self, axes: int) -> Window:
        return read_window(self, self.param, axes)

    def shapes(self, *bottom: Shape) -> Shapes:
        first = bottom[0]
        for name, shape in zip(self.spec.bottom, bottom, strict=True):
            if shape != first:
                raise ShapeError(
                    f"{self.label} filters bottoms of one shape only",
                    where=self.context.where,
                    expected=f"'{name}' like '{self.spec.bottom[0]}', {times(first)}",
                    found=times(shape),
                )
        axis = axis_of(self, self.param.axis, first)
        channels, size = first[axis], first[axis + 1 :]
        if not size:
            raise ShapeError(
                f"{self.label} has no spatial axes: the channels are on axis {axis}, the last one "
                f"of its bottom '{self.spec.bottom[0]}'",
                where=self.context.where,
                found=f"shape {times(first)}",
            )
        self._check_groups("channels", channels, ShapeError)
        window = self.window(len(size))
        weights, out = self.geometry(channels, size, window)
        top = (*first[:axis], self.outputs, *out)
        return Shapes(
            tops=(top,) * len(bottom),
            params=(weights, (self.outputs,)) if self.param.bias_term else (weights,),
            scratch=self.kernel.scratch_size(
                self._folded(first), weights, self._folded(top), window, self.group, self._budget
            ),
        )

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        w, b, how = self.blobs[0].data, None, self._how()
        if self.param.bias_term:
            b = self.blobs[1].data
        for x, y in zip(bottom, top, strict=True):
            self.kernel.forward(self._images(x.data), w, b, self._images(y.data), *how)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        how = self._how()
        for x, y, down in zip(bottom, top, propagate_down, strict=True):
            dy = self._images(y.diff)
            if self.param_propagate_down[0]:
                self.kernel.weight_gradient(self._images(x.data), dy, self.blobs[0].diff, *how)
            if self.param.bias_term and self.param_propagate_down[1]:
                self.kernel.bias_gradient(dy, self.blobs[1].diff)
            if down:
                self.kernel.data_gradient(dy, self.blobs[0].data, self._images(x.diff), *how)

    def fillers(self) -> Sequence[Any]:
        both = (self.param.weight_filler, self.param.bias_filler)
        return both if self.param.bias_term else both[:1]

    def _how(self) -> tuple[Window, int, Array, int]:
        """What every kernel takes behind its arrays."""
        window = self.window(len(self.blobs[0].shape) - 2)
        return window, self.group, self.scratch, self._budget

    def _folded(self, shape: Shape) -> Shape:
        """(images, channels, *spatial)."""
        axis = self.param.axis % len(shape)
        return (prod(shape[:axis]), *shape[axis:])

    def _images(self, array: Array) -> Array:
        return array.reshape(self._folded(array.shape))

    def _check_groups(self, what: str, count: int, error: type[DemitasseError]) -> None:
        if count % self.group:
            raise error(
                f"{self.label} has {self.group} groups, which do not divide its {what}",
                where=self.context.where,
                expected=f"a multiple of {self.group}",
                found=count,
            )
