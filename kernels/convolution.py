"""Convolution (cross-correlation) over any number of axes: one primitive, four engines.

    forward    y[n, m, o] = f(b[m] + sum_{c, k} w[m, c, k] x[n, c, s o - p + d k])
    backward   dw[m, c, k] += sum_{n, o} dy'[n, m, o] x[n, c, s o - p + d k]
               db[m] += sum_{n, o} dy'[n, m, o]
               dx[n, c, i] = sum_{m, k, o: s o - p + d k = i} w[m, c, k] dy'[n, m, o]

    x (N, C, *S), w (M, C / group, *k), y (N, M, *O), all C-contiguous; c runs over the channels of
    m's group.  f(v) = v where v > 0, else slope v; dy' = dy where y > 0, else slope dy

    COLUMNS    im2col and matrix products: the specification, any shape, any dtype (kernels/columns)
    WINOGRAD   3x3, stride 1, float32, 4 or 5 times fewer products        (kernels/winograd)
    DIRECT     3x3 of few channels by the definition, but for dx; float32 (kernels/direct_numba)
    THIN       small maps, many weights, forward by im2col; float32       (kernels/thin_numba)

`choose` is the table of who computes what; it looks at shapes, and whether Numba is installed:
DIRECT and THIN exist compiled only, WINOGRAD in NumPy, too.  `candidates` are all that can compute
a layer within ACCURACY: among them a machine may find another the fastest (kernels/contest.py).
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from . import columns, winograd
from .columns import bias_gradient
from .im2col import Array, Sizes, Window
from .optional import optional
from .workers import Room

COLUMNS, WINOGRAD = "im2col", "Winograd"
DIRECT, THIN = "definition", "im2col in panels"
COMPILED = {DIRECT: "direct_numba", THIN: "thin_numba"}  # those that exist compiled only
CHANNELS = 8  # fewer, and the transforms cost more than the products they save
OUTPUTS = 180  # elements of y's maps; fewer, and transforming the weights costs more
SMALL = 4 * OUTPUTS  # of such maps, too, im2col in panels may be the fastest
FEW = 4  # channels of x: fewer, and im2col costs more than its product
CUTS = False  # whether what writes dx can rectify it (a card's kernels do)
ACCURACY = 3e-5  # every engine's error, of the largest result, beside im2col's of about 1e-6
PRODUCTS = 10_000_000  # fewer, and there is nothing to gain: small nets give Caffe's bits


class Form(NamedTuple):
    """The window, the groups, the engine, and the rectifier's slope (1: there is none); tile: the
    most pixels along a tile of Winograd's forward pass; cut: dx is 0 where x is not above 0, of a
    family that `cuts`."""

    window: Window
    group: int
    engine: str = COLUMNS
    slope: float = 1.0
    tile: int = 4
    cut: bool = False

    def rectifies(self, slope: float) -> bool:
        """Whether the engine can apply a rectifier of this slope on the way."""
        return slope == 0 or self.engine not in (COLUMNS, DIRECT, THIN)


def largest_tile(learns: bool) -> int:
    """The most pixels along a tile of Winograd's forward pass: a training adds up what is lost by
    6."""
    return 4 if learns else 6


def choose(x: Sizes, w: Sizes, y: Sizes, window: Window, group: int, dtype: Any) -> str:
    """The fast engine of a layer of these shapes."""
    cells = y[0] * prod(y[2:])
    if np.dtype(dtype) != np.float32 or prod(w) * cells < PRODUCTS:
        return COLUMNS
    if winograd.applies(window, group) and min(w[:2]) >= CHANNELS and cells >= OUTPUTS:
        return WINOGRAD
    if _is_direct(w, window, group) and _compiled(DIRECT):
        return DIRECT
    thin = group == 1 and not window.pointwise and cells < OUTPUTS
    return THIN if thin and _compiled(THIN) else COLUMNS


def candidates(x: Sizes, w: Sizes, y: Sizes, window: Window, group: int, dtype: Any) -> list[str]:
    """All engines that compute a layer of these shapes, the specification first."""
    found = [COLUMNS]
    if np.dtype(dtype) != np.float32:
        return found
    if winograd.applies(window, group):
        found.append(WINOGRAD)
    if _is_direct(w, window, group) and _compiled(DIRECT):
        found.append(DIRECT)
    thin = group == 1 and not window.pointwise and y[0] * prod(y[2:]) < SMALL
    if thin and _compiled(THIN):
        found.append(THIN)
    return found


def _is_direct(w: Sizes, window: Window, group: int) -> bool:
    """Whether DIRECT computes a layer of these shapes."""
    return winograd.applies(window, group) and w[1] < FEW and not any(window.pad)


def _compiled(engine: str) -> Any:
    """The kernels of DIRECT or THIN; None where Numba is not installed."""
    return optional(COMPILED[engine])


def prepare() -> None:
    """Import the compiled kernels, where Numba is installed, before `choose` or `candidates` would:
    that takes long."""
    for engine in COMPILED:
        _compiled(engine)


def forward(x: Array, w: Array, b: Array, y: Array, form: Form, room: Room) -> None:
    """Write y; b may be None."""
    if form.engine == WINOGRAD:
        winograd.forward(x, w, b, y, form.window.pad[0], form.slope, form.tile, room)
    elif form.engine == DIRECT:
        _compiled(DIRECT).forward(x, w, b, y, form.slope == 0, room)
    elif form.engine == THIN:
        _compiled(THIN).forward(x, w, b, y, form.window, form.slope == 0, room)
    else:
        columns.forward(x, w, b, y, form.window, form.group, room, form.slope == 0)


def backward(
    x: Array, w: Array, y: Array, dy: Array, dw: Array, db: Array, dx: Array, form: Form, room: Room
) -> None:
    """Add to dw and db, write dx; each may be None.  Where there is a rectifier, y is read, and dy
    may become dy'."""
    if form.engine == WINOGRAD:
        winograd.backward(x, w, y, dy, dw, db, dx, form.window.pad[0], form.slope, room)
        return
    if form.engine == DIRECT and dw is not None and dx is None:
        _compiled(DIRECT).gradients(x, y, dy, dw, db, form.slope == 0, room)
        return
    if form.slope == 0:
        columns.rectify_gradient(y, dy, room)
    if dw is not None:
        columns.weight_gradient(x, dy, dw, form.window, form.group, room)
    if db is not None:
        bias_gradient(dy, db, room)
    if dx is not None:
        columns.data_gradient(dy, w, dx, form.window, form.group, room)


def scratch_size(x: Sizes, w: Sizes, y: Sizes, form: Form, room: Room) -> int:
    """Elements of scratch that arrays of these shapes need."""
    if form.engine == WINOGRAD:
        return winograd.scratch_size(w, y, form.tile, room)
    needed = columns.scratch_size(x, w, y, form.window, form.group, room)
    if form.engine == DIRECT:
        needed = max(needed, room.threads * y[3])
    if form.engine == THIN:
        needed = max(needed, int(_compiled(THIN).scratch_size(w, y)))
    return needed
