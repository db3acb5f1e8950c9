"""Convolution and deconvolution on a GPU: what kernels/convolution.py and kernels/deconvolution.py
say, with the same arguments, by the kernels of this folder.

    fp32         tensor cores, three TF32 products whose sums are promoted: at most 2e-6 relative
    fp32-strict  CUDA cores, a chain of fused multiply-adds; also what cards without TF32 get
    tf32, bf16   tensor cores, operands cut or rounded; sums, biases and what is stored are float32

Every window, group and layout of up to three spatial axes is computed here; channels last with a
multiple of four channels is fast.  Layers of few terms or few outputs wait for memory: they are
computed in float32 whatever the precision.  No sum depends on the order in which blocks run, so two
runs give the same bits.

Errors: DeviceError for more axes, and for other types than float32.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from ...errors import DeviceError
from ..convolution import Form
from ..im2col import Array, Sizes, Window
from ..workers import Room
from . import products, table
from .filters import Filters
from .geometry import AXES, nominal

ENGINE = "CUDA"


class _Engine(Filters):
    CUTS = True

    def choose(self, x: Sizes, w: Sizes, y: Sizes, window: Window, group: int, dtype: Any) -> str:
        """The engine of a layer of these shapes; there is one, which refuses what it cannot do."""
        if len(window.kernel) > AXES:
            raise DeviceError(
                f"a GPU convolves over up to {AXES} spatial axes",
                found=f"{len(window.kernel)}",
                remedy="Run this net on the CPU",
            )
        if window.volume > table.MOST_TAPS:
            raise DeviceError(
                f"a GPU convolves with windows of up to {table.MOST_TAPS} elements",
                found=f"{window.volume}",
                remedy="Run this net on the CPU",
            )
        if group > table.DEEPEST:
            raise DeviceError(
                f"a GPU convolves in up to {table.DEEPEST} groups",
                found=f"{group}",
                remedy="Run this net on the CPU",
            )
        if np.dtype(dtype) != np.float32:
            raise DeviceError(
                "a GPU convolves float32",
                found=f"{np.dtype(dtype)}",
                remedy="Run this net on the CPU",
            )
        return ENGINE

    def _scratch(self, large: Sizes, w: Sizes, small: Sizes, form: Form, room: Room) -> int:
        """Of all passes between the array that windows slide over and the one they make, however
        the arrays lie in memory: a part of a Concat's top may allow no wide reads, and the other
        array may."""
        machine, most = self.machine, 0
        for wide, other in product((False, True), repeat=2):
            a, b = nominal(large, wide), nominal(small, other)
            rest = (form.window, form.group, machine, room.budget)
            most = max(most, products.gradient(a, b, *rest).plan.scratch)
            for x, y, transpose in ((a, b, False), (b, a, True)):
                passed = (form.window, form.group, transpose, 1.0, True, machine, room.budget)
                most = max(most, products.product(x, y, w, *passed).plan.scratch)
                most = max(most, products.sums(y, y, 1.0).parts * y.channels)
        return most


class Convolution(_Engine):
    """x is slid over, y is made."""

    def forward(self, x: Array, w: Array, b: Array, y: Array, form: Form, room: Room) -> None:
        """Write y; b may be None."""
        self.correlate(x, w, b, y, form.window, form.group, form.slope, room)

    def backward(
        self, x: Array, w: Array, y: Array, dy: Array, dw: Array, db: Array, dx: Array, form: Form,
        room: Room,
    ) -> None:  # fmt: skip
        """Add to dw and db, write dx; each may be None.  Where there is a rectifier, y is read, and
        dy becomes dy'; where the form cuts, dx is 0 where x is not above 0."""
        if dw is None or form.slope != 1:  # else the weights' kernel may sum for the bias
            self.output_gradient(y, dy, db, form.slope, room)
            db = None
        if dw is not None:
            self.weight_gradient(x, dy, dw, form.window, form.group, room, db)
        if dx is not None:
            sign = x if form.cut else None
            self.transpose(dy, w, None, dx, form.window, form.group, 1.0, room, sign)

    def scratch_size(self, x: Sizes, w: Sizes, y: Sizes, form: Form, room: Room) -> int:
        """Elements of scratch that arrays of these shapes need."""
        return self._scratch(x, w, y, form, room)


class Deconvolution(_Engine):
    """y is slid over, x is what a convolution would make of it."""

    def forward(self, x: Array, w: Array, b: Array, y: Array, form: Form, room: Room) -> None:
        """Write y; b may be None."""
        self.transpose(x, w, b, y, form.window, form.group, form.slope, room)

    def backward(
        self, x: Array, w: Array, y: Array, dy: Array, dw: Array, db: Array, dx: Array, form: Form,
        room: Room,
    ) -> None:  # fmt: skip
        """Add to dw and db, write dx; each may be None.  Where there is a rectifier, y is read, and
        dy becomes what gets through it; where the form cuts, dx is 0 where x is not above 0."""
        self.output_gradient(y, dy, db, form.slope, room)
        if dw is not None:
            self.weight_gradient(dy, x, dw, form.window, form.group, room)
        if dx is not None:
            sign = x if form.cut else None
            self.correlate(dy, w, None, dx, form.window, form.group, 1.0, room, sign)

    def scratch_size(self, x: Sizes, w: Sizes, y: Sizes, form: Form, room: Room) -> int:
        """Elements of scratch that arrays of these shapes need."""
        return self._scratch(y, w, x, form, room)
