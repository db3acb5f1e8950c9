"""What the layers share that take every element for itself.

    y = f(x)            dx = dy f'(x)

Any shape; may work in place.  A layer says in `backward_reads` whether its gradient is made from
the top or from the bottom.  From the top, it needs no second array in place.  From the bottom, the
net keeps a copy, so that the gradient is the same, in place or not (Caffe's is not: it then takes
the top for the bottom).

Source: Caffe's include/caffe/layers/neuron_layer.hpp.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import prod

from .base import Array, Blob, Layer, Shape, Shapes


class Neuron(Layer):
    in_place = True
    records = True

    @abstractmethod
    def function(self, x: Array, y: Array) -> None:
        """Write y; it may be x."""

    @abstractmethod
    def gradient(self, known: Array, dy: Array, dx: Array) -> None:
        """Write dx; it may be dy.  known: y or x, the one that `backward_reads` names."""

    def shapes(self, *bottom: Shape) -> Shapes:
        return Shapes((bottom[0],), scratch=self.context.strip(prod(bottom[0])))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.function(bottom[0].data, top[0].data)

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        if propagate_down[0]:
            known = (top if "top0" in self.backward_reads else bottom)[0].data
            self.gradient(known, top[0].diff, bottom[0].diff)
