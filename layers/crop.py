"""Crop: the part of the first bottom that is as large as the second one.

    y[.., i] = x[.., offset + i]            dx = dy inside, 0 outside

    x (*A, *S), like (.., *O) -> y (*A, *O);  axes before `axis` (default 2) are not cropped

offset: none (0: the corner, not the centre), one for all cropped axes, or one for each.  A V1 net's
CROP, which aligned its bottoms by itself, has got its offsets when it was read.  Only the second
bottom's size is used.  ShapeError where the part is not inside.

Source: Caffe's src/caffe/layers/crop_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ..errors import ShapeError
from ..kernels.im2col import pieces
from ..kernels.workers import Room
from .axes import axis_of
from .base import Array, Blob, Layer, Shape, Shapes
from .sizes import times

LARGE = 1 << 18  # elements that are worth a second thread


class Crop(Layer):
    type = "Crop"
    records = True
    any_layout = True
    bottoms = 2
    no_gradient = frozenset({1})
    sizes_only = frozenset({1})
    picks = repeats = True

    def offsets(self, axes: int) -> tuple[int, ...]:
        """The offset on each of `axes` axes."""
        axis = axis_of(self, self.spec.crop_param.axis, (1,) * axes)
        given = [int(o) for o in self.spec.crop_param.offset] or [0]
        if len(given) not in (1, axes - axis):
            raise ShapeError(
                f"{self.label} has {len(given)} offsets, but crops {axes - axis} axes "
                f"(from axis {axis} to the last)",
                where=self.context.where,
                expected=f"none, 1 or {axes - axis}",
                found=", ".join(map(str, given)),
            )
        return (0,) * axis + tuple(given * (axes - axis) if len(given) == 1 else given)

    def shapes(self, *bottom: Shape) -> Shapes:
        data, like = bottom
        offsets = self.offsets(len(data))
        axis = axis_of(self, self.spec.crop_param.axis, data)
        if len(like) != len(data):
            raise ShapeError(
                f"{self.label} takes two bottoms with the same number of axes",
                where=self.context.where,
                expected=f"'{self.spec.bottom[1]}' with {len(data)}",
                found=f"shape {times(like)}",
            )
        for i in range(axis, len(data)):
            if offsets[i] + like[i] > data[i]:
                raise ShapeError(
                    f"{self.label} would read past the end of '{self.spec.bottom[0]}' on axis {i}: "
                    f"'{self.spec.bottom[1]}' wants {like[i]} from offset {offsets[i]} on",
                    where=self.context.where,
                    expected=f"a size of at least {offsets[i] + like[i]}",
                    found=data[i],
                )
        top = data[:axis] + like[axis:]
        return Shapes((top,), scratch=self.context.workers.threads * self.context.strip(prod(top)))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if not self.absorbed:
            self.cut(bottom[0], top[0])

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if not propagate_down[0]:
            return
        if self.rectifies:
            room = Room(0, self.context.workers, self.scratch)
            self.context.device.columns.rectify_gradient(top[0].data, top[0].diff, room)
        if not self.absorbed:
            self.context.device.copies.clear(bottom[0].diff)
            self.add(top[0], bottom[0])

    def cut(self, bottom: Blob, top: Blob) -> None:
        """Write the top's data."""
        self.context.device.copies.copy(self._inside(bottom.data, top.shape), top.data)

    def add(self, top: Blob, bottom: Blob) -> None:
        """Add the top's diff to the bottom's, inside."""
        into, workers = self._inside(bottom.diff, top.shape), self.context.workers
        copies = self.context.device.copies
        if workers.threads == 1 or into.ndim < 2 or into.size < LARGE:
            copies.add(top.diff, into)
            return
        parts = list(pieces(into.shape[1], -(-into.shape[1] // workers.threads)))

        def part(i: int, _: int) -> None:
            here = slice(*parts[i])
            copies.add(top.diff[:, here], into[:, here])

        workers.run(part, len(parts))

    def _inside(self, x: Array, shape: Shape) -> Array:
        corner = zip(self.offsets(x.ndim), shape, strict=True)
        return x[tuple(slice(offset, offset + n) for offset, n in corner)]
