"""What Convolution and Deconvolution share: their message, their parameters, and the loop.

Every bottom is filtered into the top of the same index with the same weights.  The axes before
`axis` are images, `axis` holds the channels, those behind it are spatial.

`engine: CAFFE` is im2col, the specification; DEFAULT and CUDNN mean the fastest that fits the
shapes (kernels/convolution.py).  The context's engine, "caffe" or "fast", overrules the message;
"auto" obeys it; a net may tell a layer which engine was the fastest when they were measured
(net/tuning.py).  `force_nd_im2col` chooses among implementations in Caffe; here there is one.

Errors: SpecError for a message that is wrong by itself, ShapeError for one that does not fit its
bottom.  Source: Caffe's src/caffe/layers/base_conv_layer.cpp.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, ClassVar

from ..errors import DemitasseError, GraphError, ShapeError, SpecError
from ..kernels.contest import Problem
from ..kernels.convolution import COLUMNS, Form, largest_tile
from ..kernels.im2col import Window
from ..kernels.workers import Room
from .base import Array, Blob, Context, Shape, Shapes
from .sizes import times
from .windows import Windowed, channel_axis, check_window


class Filtering(Windowed):
    bottoms = (1, None)
    records = True
    tops = (1, None)
    backward_reads = ("bottom*",)
    repeats = True
    family: ClassVar[str]  # of primitives, convolution or deconvolution
    transposed: ClassVar[bool] = False  # whether the weights' first axis is the bottom's channels
    measured: Mapping[Shape, str] = {}  # the fastest engine by the bottom's shape, where known

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self.param, self.kernel = spec.convolution_param, getattr(context.device, self.family)
        self.any_layout = self.param.axis == 1
        self.outputs, self.group = int(self.param.num_output), int(self.param.group)
        self.cuts = self.kernel.CUTS and len(spec.bottom) == 1
        self.room = Room(context.budget // context.dtype.itemsize, context.workers)
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

    def shapes(self, *bottom: Shape) -> Shapes:
        first, (weights, top) = bottom[0], self._filtered(*bottom)
        folded = self._folded(first), weights, self._folded(top)
        return Shapes(
            tops=(top,) * len(bottom),
            params=(weights, (self.outputs,)) if self.param.bias_term else (weights,),
            scratch=self.kernel.scratch_size(*folded, self.form(*folded), self.room),
        )

    def top_shapes(self, *bottom: Shape) -> tuple[Shape, ...]:
        return (self._filtered(*bottom)[1],) * len(bottom)

    def _filtered(self, *bottom: Shape) -> tuple[Shape, Shape]:
        """The shapes of the weights and of a top."""
        first = bottom[0]
        for name, shape in zip(self.spec.bottom, bottom, strict=True):
            if shape != first:
                raise ShapeError(
                    f"{self.label} filters bottoms of one shape only",
                    where=self.context.where,
                    expected=f"'{name}' like '{self.spec.bottom[0]}', {times(first)}",
                    found=times(shape),
                )
        axis = channel_axis(self, first)
        channels, size = first[axis], first[axis + 1 :]
        self._check_groups("channels", channels, ShapeError)
        window = self.window(len(size))
        weights, out = self.geometry(channels, size, window)
        return weights, (*first[:axis], self.outputs, *out)

    def engine(self, bottom: Shape) -> str:
        """Who filters a bottom of this shape."""
        w, y = self._filtered(bottom)
        return self.form(self._folded(bottom), w, self._folded(y)).engine

    def absorbs_rectifier(self, slope: float, *bottom: Shape) -> bool:
        w, y = self._filtered(*bottom)
        return self.form(self._folded(bottom[0]), w, self._folded(y)).rectifies(slope)

    @property
    def exact(self) -> bool:
        """Whether im2col was asked for."""
        engine, asked = self.context.engine, self.param.engine == self.param.CAFFE
        return engine == "caffe" or (engine == "auto" and asked)

    def form(self, x: Shape, w: Shape, y: Shape) -> Form:
        """How (images, channels, *spatial) is filtered."""
        window = self.window(len(x) - 2)
        if self.exact:
            return Form(window, self.group, COLUMNS, self.rectifier)
        known = self.measured.get(x)
        chosen = known or self.kernel.choose(x, w, y, window, self.group, self.context.dtype)
        tile = largest_tile(self.context.phase == "TRAIN")
        return Form(window, self.group, chosen, self.rectifier, tile)

    def contest(self, bottom: Shape, backward: bool, down: bool) -> tuple[Problem, list[str], str]:
        """What is to be measured: the problem, who can solve it, and who does so by rule.

        backward, down: whether training asks for gradients of the parameters, of the bottom."""
        w, top = self._filtered(bottom)
        x, y = self._folded(bottom), self._folded(top)
        window, dtype = self.window(len(x) - 2), self.context.dtype
        problem = Problem(x, w, y, window, self.group, backward, down)
        if self.exact:
            return problem, [COLUMNS], COLUMNS
        able = self.kernel.candidates(x, w, y, window, self.group, dtype)
        return problem, able, self.kernel.choose(x, w, y, window, self.group, dtype)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        w, room = self.blobs[0].data, replace(self.room, scratch=self.scratch)
        b = self.blobs[1].data if self.param.bias_term else None
        for x_, y_ in zip(bottom, top, strict=True):
            x, y = self._images(x_.data), self._images(y_.data)
            self.kernel.forward(x, w, b, y, self.form(x.shape, w.shape, y.shape), room)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        w, room = self.blobs[0], replace(self.room, scratch=self.scratch)
        wanted = [
            b.diff if p else None
            for b, p in zip(self.blobs, self.param_propagate_down, strict=True)
        ]
        dw, db = (*wanted, None)[:2]
        slope = 1.0 if self.rectified else self.rectifier
        for x_, y_, down in zip(bottom, top, propagate_down, strict=True):
            x, dy = self._images(x_.data), self._images(y_.diff)
            y = None if slope == 1 else self._images(y_.data)
            dx = self._images(x_.diff) if down else None
            form = self.form(x.shape, w.shape, dy.shape)
            form = form._replace(slope=slope, cut=self.rectifies)
            self.kernel.backward(x, w.data, y, dy, dw, db, dx, form, room)

    def work(self, *bottom: Shape) -> int:
        w, top = self._filtered(*bottom)
        products = prod(bottom[0] if self.transposed else top) * prod(w[1:])
        return super().work(*bottom) + len(bottom) * products

    def fillers(self) -> Sequence[Any]:
        both = (self.param.weight_filler, self.param.bias_filler)
        return both if self.param.bias_term else both[:1]

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
