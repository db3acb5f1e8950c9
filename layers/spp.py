"""SPP: spatial pyramid pooling, a vector of one length for images of any size.

    y = [pool_0(x), pool_1(x), ..]                dx = sum over the levels

    x (N, C, H, W) -> y (N, sum_i C 4^i);  pool_i: 2^i x 2^i windows, i < pyramid_height

Level i has kernel and stride ceil(H / 2^i) x ceil(W / 2^i), and half of what it covers beyond the
image as padding.  A pyramid of one level gives (N, C, 1, 1), as in Caffe.  `pool`: MAX or AVE (see
Pooling; STOCHASTIC, which Caffe has on GPUs only, is refused).

SpecError without a pyramid_height, ShapeError where the image is too small for it.
Source: Caffe's src/caffe/layers/spp_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from ..errors import ShapeError, SpecError
from ..kernels import pooling
from ..kernels.im2col import Window
from ..kernels.workers import Room
from .base import Array, Blob, Buffer, Context, Layer, Shape, Shapes
from .sizes import times


class SPP(Layer):
    type = "SPP"
    records = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        param = spec.spp_param
        self._levels, self._is_max = int(param.pyramid_height), param.pool == param.MAX
        if param.pool == param.STOCHASTIC:
            raise SpecError(
                f"{self.label} asks for STOCHASTIC pooling, which demitasse does not have",
                where=context.where,
                expected="MAX or AVE",
            )
        if self._levels < 1:
            raise SpecError(
                f"{self.label} has no levels",
                where=context.where,
                expected="pyramid_height: 1 or more",
                found=self._levels if param.HasField("pyramid_height") else "none",
            )

    def shapes(self, *bottom: Shape) -> Shapes:
        (shape,) = bottom
        if len(shape) != 4:
            raise ShapeError(
                f"{self.label} needs images as its bottom '{self.spec.bottom[0]}'",
                where=self.context.where,
                expected="4 axes: number, channels, height, width",
                found=f"shape {times(shape)}",
            )
        (n, c, *size), itemsize = shape, self.context.dtype.itemsize
        saved: list[Buffer] = []
        cells: list[int] = []
        inner = 0
        for window, out in self._pyramid(size):
            if any(p >= k for p, k in zip(window.pad, window.kernel, strict=True)):
                raise ShapeError(
                    f"{self.label} has too many levels for its bottom '{self.spec.bottom[0]}'",
                    where=self.context.where,
                    expected=f"an image that {2 ** len(cells)} windows can cover on each axis",
                    found=times(size),
                    remedy="Take a smaller pyramid_height or a larger image",
                )
            planes = (n * c, *out)
            saved.append(Buffer(planes, pooling.arg_dtype(window)))
            cells.append(prod(out))
            needed = pooling.scratch_size((n * c, *size), planes, itemsize, self._room(None))
            inner = max(inner, needed)
        return Shapes(
            tops=((n, c, 1, 1) if self._levels == 1 else (n, c * sum(cells)),),
            saved=tuple(saved) if self._is_max else (),
            scratch=n * c * (max(cells) + (prod(size) if self._levels > 1 else 0)) + inner,
        )

    def _room(self, scratch: Array) -> Room:
        return Room(0, self.context.workers, scratch)

    def _pyramid(self, size: Sequence[int]) -> Iterator[tuple[Window, Shape]]:
        """The window of each level, and how many there are on each axis."""
        for level in range(self._levels):
            kernel = tuple(-(-s >> level) for s in size)
            rest = [(k << level) - s for k, s in zip(kernel, size, strict=True)]
            pad = tuple((r + 1) // 2 for r in rest)
            window = Window(kernel, kernel, pad, (1,) * len(kernel))
            yield window, pooling.outputs(tuple(size), window, True)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x = _planes(bottom[0].data)
        for level, (window, y, part) in enumerate(self._parts(x, top[0].data)):
            room = self._room(self.scratch[y.size :])
            if self._is_max:
                pooling.max_forward(x, y, self.saved[level], window, room)
            else:
                pooling.average_forward(x, y, window, room)
            part[...] = y.reshape(part.shape)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if not propagate_down[0]:
            return
        dx = _planes(bottom[0].diff)
        for level, (window, dy, part) in enumerate(self._parts(dx, top[0].diff)):
            dy.reshape(part.shape)[...] = part
            scratch, more = self.scratch[dy.size :], dx
            if level:
                scratch, more = scratch[dx.size :], scratch[: dx.size].reshape(dx.shape)
            room = self._room(scratch)
            if self._is_max:
                pooling.max_backward(dy, self.saved[level], more, window, room)
            else:
                pooling.average_backward(dy, more, window, room)
            if level:
                dx += more

    def _parts(self, x: Array, y: Array) -> Iterator[tuple[Window, Array, Array]]:
        """Of each level: its window, its planes (in the head of scratch), its part of the top."""
        y, start = y.reshape(y.shape[0], -1), 0
        for window, out in self._pyramid(x.shape[1:]):
            count = x.shape[0] * prod(out)
            end = start + count // y.shape[0]
            yield window, self.scratch[:count].reshape(-1, *out), y[:, start:end]
            start = end


def _planes(array: Array) -> Array:
    return array.reshape(-1, *array.shape[2:])
