"""What RNN and LSTM share: inputs, the parameters that take them in, and the states between passes.

    a_t = Wx x_t + b + Ws x_static          then the layer's own steps: kernels/recurrent.py

    x (T, N, ...)   cont (T, N): 0 where a stream begins anew   x_static (N, ...), if there is one
    Wx (g, K)  b (g,)  Ws (g, Ks), with x_static only  Wh (g, D)     g = D, LSTM 4 D; D: num_output

All T steps of x go through one matrix product.  The state after the last step is where the next
pass starts; cont says which streams use it.  The layer keeps it, snapshots hold it, and it is 0 at
first and after a change of N.  With expose_hidden states come from extra bottoms (1, N, D) and go
to extra tops instead.  Gradients end at the borders of the pass, as in Caffe: an exposed top's is
not looked at, and an exposed bottom's is 0.

recurrent_param.debug_info has no effect: Caffe's makes the net it unrolls inside talk; there is
none here.  Errors: SpecError without num_output, GraphError for a wrong number of blobs, ShapeError
for sizes that do not fit, DataError for a kept state of another size.
Source: Caffe's src/caffe/layers/recurrent_layer.cpp.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, ClassVar

import numpy as np

from ..errors import DataError, GraphError, ShapeError, SpecError
from ..kernels import inner_product as kernel
from ..kernels.strips import carve
from .base import Array, Blob, Buffer, Context, Layer, Shape, Shapes
from .sizes import times


class Recurrent(Layer):
    """Abstract.  saved: each state (T + 1, N, D), h first, its start at index 0; then the gates."""

    no_gradient = frozenset({1})
    gates: ClassVar[int]  # g / D; with 1 the gates are h itself
    states: ClassVar[tuple[str, ...]]  # what is carried from step to step
    projects: ClassVar[bool]  # an output product follows, with two more parameters

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._d, self._exposed = int(spec.recurrent_param.num_output), 0
        if spec.recurrent_param.expose_hidden:
            self._exposed = len(self.states)
        if self._d < 1:
            raise SpecError(
                f"{self.label} has no num_output",
                where=context.where,
                expected="recurrent_param { num_output: 1 } or more",
            )
        self._static = len(spec.bottom) > 2 + self._exposed
        states = ", ".join(self.states[: self._exposed])
        for kind, names, count, what in (
            ("bottom", spec.bottom, 2 + self._static + self._exposed, "x, cont, maybe x_static"),
            ("top", spec.top, 1 + self._exposed, "the output"),
        ):
            if len(names) != count:
                raise GraphError(
                    f"{self.label} has the wrong number of {kind}s",
                    where=context.where,
                    expected=f"{what}{', ' if states else ''}{states}",
                    found=f"{len(names)} ({', '.join(names)})",
                    remedy="" if states else "States are blobs only with expose_hidden: true",
                )
        self._next = 2 + self._static  # the first exposed bottom, and among the parameters Wh
        self.backward_reads = ("bottom0", "bottom1", "bottom2")[: 2 + self._static]
        if self.projects:
            self.backward_reads += ("top0",)
        self._carried: list[Array] = []

    def shapes(self, *bottom: Shape) -> Shapes:
        x, names = bottom[0], self.spec.bottom
        if len(x) < 3:
            self._refuse(names[0], "steps x streams x features", x)
        t, n, d, g = *x[:2], self._d, self.gates * self._d
        if bottom[1] != (t, n):
            self._refuse(names[1], times((t, n)), bottom[1])
        widths = [prod(x[2:])]
        if self._static:
            if len(bottom[2]) < 2 or bottom[2][0] != n:
                self._refuse(names[2], f"{n} x features", bottom[2])
            widths.append(prod(bottom[2][1:]))
        for name, shape in zip(names[self._next :], bottom[self._next :], strict=True):
            if shape != (1, n, d):
                self._refuse(name, times((1, n, d)), shape)
        params: list[Shape] = [(g, widths[0]), (g,), *((g, k) for k in widths[1:]), (g, d)]
        saved = [Buffer((t + 1, n, d)) for _ in self.states]
        if self.gates > 1:
            saved.append(Buffer((t, n, g)))
        widest = max(*widths, d)
        rows = max(1, self.context.budget // self.context.dtype.itemsize // widest)
        return Shapes(
            tops=((t, n, d), *((1, n, d),) * self._exposed),
            params=(*params, *(((d, d), (d,)) if self.projects else ())),
            saved=tuple(saved),
            scratch=(t * n + n) * (g + d) + 3 * n * d + min(g, rows) * widest,
        )

    def _refuse(self, name: str, expected: str, found: Shape) -> None:
        raise ShapeError(
            f"{self.label} cannot use its bottom '{name}'",
            where=self.context.where,
            expected=expected,
            found=times(found),
        )

    def fillers(self) -> Sequence[Any]:
        weight = self.spec.recurrent_param.weight_filler
        bias = self.spec.recurrent_param.bias_filler
        inner = (weight, bias, *(weight,) * self._static, weight)
        return inner + ((weight, bias) if self.projects else ())

    @abstractmethod
    def steps(self, a: Array, cont: Array, w: Array, y: Array, scratch: Array) -> None:
        """From a, what comes in from outside, make the states in `saved`, and the output y."""

    @abstractmethod
    def steps_gradient(
        self, y: Blob, cont: Array, w: Array, da: Array, spare: Array, scratch: Array
    ) -> None:
        """Write da from y.diff; spare: as large as y."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        first, cont = self._next, bottom[1].data
        for k, state in enumerate(self._states):
            if self._exposed:
                state[0] = bottom[first + k].data[0]
            else:
                known = self._carried and self._carried[k].shape == state[0].shape
                state[0] = self._carried[k] if known else 0
        a = self.saved[-1] if self.gates > 1 else self.saved[0][1:]
        wx, b, ws = (blob.data for blob in self.blobs[:3])  # ws: or another, without x_static
        kernel.inner_product(matrix(bottom[0].data, 2), wx, b, matrix(a, 2), False)
        if self._static:
            (part,) = carve(self.scratch, a.shape[1:])
            kernel.inner_product(matrix(bottom[2].data, 1), ws, None, part, False)
            a += part
        self.steps(a, cont, self.blobs[first].data, top[0].data, self.scratch)
        for blob, state in zip(top[1:], self._states, strict=False):
            blob.data[0] = state[-1]
        if not self._exposed:
            self._carried = [state[-1].copy() for state in self._states]

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        first, cont, h = self._next, bottom[1].data, self.saved[0]
        wanted, blobs = self.param_propagate_down, self.blobs
        (t, n, d), g = top[0].shape, self.gates * self._d
        da, spare, total, rest = carve(self.scratch, (t, n, g), (t, n, d), (n, g), (-1,))
        self.steps_gradient(top[0], cont, blobs[first].data, da, spare, rest)
        flat = matrix(da, 2)
        if wanted[0]:
            kernel.weight_gradient(matrix(bottom[0].data, 2), flat, blobs[0].diff, False, rest)
        if wanted[1]:
            kernel.bias_gradient(flat, blobs[1].diff)
        if wanted[first]:
            np.multiply(h[:-1], cont[:, :, None], out=spare)
            kernel.weight_gradient(matrix(spare, 2), flat, blobs[first].diff, False, rest)
        if propagate_down[0]:
            kernel.data_gradient(flat, blobs[0].data, matrix(bottom[0].diff, 2), False)
        if self._static:
            np.sum(da, axis=0, out=total)
            if wanted[2]:
                x = matrix(bottom[2].data, 1)
                kernel.weight_gradient(x, total, blobs[2].diff, False, rest)
            if propagate_down[2]:
                kernel.data_gradient(total, blobs[2].data, matrix(bottom[2].diff, 1), False)
        for blob, flag in zip(bottom[first:], propagate_down[first:], strict=True):
            if flag:
                blob.diff.fill(0)

    def state(self) -> Mapping[str, Any]:
        return {"carried": [array.tolist() for array in self._carried]} if self._carried else {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        kept = [np.array(values, self.context.dtype) for values in state.get("carried", ())]
        expected = [array.shape[1:] for array in self._states]
        if kept and [array.shape for array in kept] != expected:
            raise DataError(
                f"{self.label} cannot take up the states that a snapshot kept",
                where=self.context.where,
                expected=" and ".join(map(times, expected)),
                found=" and ".join(times(array.shape) for array in kept),
                remedy="Use the batch and num_output of the run that wrote it",
            )
        self._carried = kept

    @property
    def _states(self) -> list[Array]:
        return self.saved[: len(self.states)]


def matrix(x: Array, axes: int) -> Array:
    """A matrix, its rows the first axes."""
    return x.reshape(prod(x.shape[:axes]), -1)
