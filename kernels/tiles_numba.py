"""The transforms of Winograd's F(4x4, 3x3) and F(6x6, 3x3), compiled by Numba: see
kernels/winograd.py.

A one-dimensional transform (kernels/formulas_numba.py) is applied twice: along a row of the image
(kernels/lines_numba.py), and along the columns, over lines in which the tiles stand one behind the
other, all rows of them.  Same functions, same arguments as kernels/tiles_numpy.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compiler_numba import compiler
from .formulas_numba import (
    data_columns,
    diff_columns,
    input6_columns,
    input_columns,
    output6_columns,
    output6_rows,
    output_columns,
    output_rows,
    sort6_weights,
    sort_weights,
    weight_diffs,
)
from .lines_numba import add_row, data_row, diff_lines, input_lines, pixels, place, vectors
from .products_numba import DEPTH, WIDTH, multiply_inner, multiply_transposed
from .products_numba import multiply as multiply
from .vectors_numba import clear
from .writer_numba import LANES, QUAD

Array = Any

NAME = "Numba"
BLOCK = 650_000  # elements of V and M of one block: they stay in a core's share of the cache
MANY = 1 / 2  # pixels of y for each weight, to make whole blocks of so large a layer
SIX = 0.83  # of the work of tiles of 4x4: less must be left for tiles of 6x6 to pay
COLUMNS = 48  # columns of dU at a time: whole panels
DEEP = 128  # channels of U that are summed at a time, where U is larger than M
BAND = 6144  # elements of lines that stay in the first-level cache
f1 = np.float32
fast = compiler()
sums = compiler(fastmath={"reassoc"})


# ------------------------------------------------------------------------ shapes


def work_size(channels: int, rows: int, across: int, tile: int) -> int:
    """Elements of scratch that any transform needs, and multiply_inner."""
    line = panels_shape(1, rows * across, tile)[1] * WIDTH + 2 * LANES + 1
    return max((tile + 2) ** 2 * line + pixels(across), DEPTH * WIDTH)


def panels_shape(channels: int, cells: int, tile: int) -> tuple[int, int, int, int]:
    """V in panels (kernels/products_numba.py)."""
    return (tile + 2) ** 2, -(-cells // WIDTH), channels, WIDTH


def whole(columns: int) -> int:
    """How long a row of M, or of dU, is: whole vectors."""
    return -(-columns // LANES) * LANES


def spare_size(channels: int, outputs: int) -> int:
    """Elements of scratch that multiply_inner needs where it adds."""
    return DEPTH * WIDTH


# ------------------------------------------------------------------- input, output


@fast
def input_panels(
    x: Array, n: int, c0: int, c1: int, r0: int, rows: int, across: int, pad: int, tile: int,
    V: Array, work: Array,
) -> None:  # fmt: skip
    """V[ij] = (B^T d B)[i, j] in panels: V[ij, p, c, t] is tile WIDTH p + t."""
    _, panels, channels, _ = V.shape
    span, side = panels * WIDTH + LANES, tile + 2
    P = work[: side * side * span]
    far = V.strides[0] // V.itemsize
    P[:] = f1(0)  # behind the last tile
    for c in range(c0, c1):
        input_lines(x, n, c, r0, rows, across, pad, tile, P, span)
        for p in range(panels):
            for j in range(side):
                at, to = j * span + p * WIDTH, j * far + (p * channels + c) * WIDTH
                if tile == 6:
                    input6_columns(WIDTH, P, at, 8 * span, V, to, 8 * far)
                else:
                    input_columns(WIDTH, P, at, 6 * span, V, to, 6 * far)


@fast
def output_tiles(
    M: Array, y: Array, n: int, k0: int, k1: int, r0: int, rows: int, bias: Array, slope: float,
    tile: int, work: Array,
) -> None:  # fmt: skip
    """y = A^T M A + bias; negative values times slope."""
    (height, width), across, side = y.shape[2:], -(-y.shape[3] // tile), tile + 2
    band = max(1, BAND // (tile * side * across))
    span = min(band, rows) * across + 2 * LANES
    P = work[: tile * side * span]
    far, near = M.strides[0] // M.itemsize, M.strides[1] // M.itemsize
    for k in range(k0, k1):
        for a0 in range(0, rows, band):
            begin, end = a0 * across, min(rows, a0 + band) * across
            start = max(0, min(begin, end - LANES))  # a whole vector, even of a narrow band
            shift = LANES - (begin - start)
            for j in range(side):
                at = j * far + (k - k0) * near + start
                count = max(LANES, end - start)
                if tile == 6:
                    output6_columns(count, M, at, 8 * far, P, j * span + shift, 8 * span)
                else:
                    output_columns(count, M, at, 6 * far, P, j * span + shift, 6 * span)
            for a in range(a0, min(rows, a0 + band)):
                for i in range(min(tile, height - tile * (r0 + a))):
                    at = side * i * span + LANES + a * across - begin
                    to, b, s = place(y, n, k, tile * (r0 + a) + i), bias[k], f1(slope)
                    if tile == 6:
                        output6_rows(vectors(across), P, at, span, b, s, y, to, 0, width)
                    else:
                        output_rows(vectors(across), P, at, span, b, s, y, to, 0, width)


# --------------------------------------------------------------- gradients of both


@sums
def summed(values: Array) -> float:
    """In double precision."""
    total: Any = 0.0
    for value in values:
        total += value
    return total


@fast
def diff_panels(
    dy: Array, y: Array, n: int, k0: int, k1: int, r0: int, rows: int, across: int, slope: float,
    D: Array, db: Array, work: Array,
) -> None:  # fmt: skip
    """D[ij] = (A dy A^T)[i, j] in panels, dy times slope where y <= 0; db[k] += sum dy."""
    _, panels, channels, _ = D.shape
    span = panels * WIDTH + LANES
    P = work[: 24 * span]
    far = D.strides[0] // D.itemsize
    P[:] = f1(0)  # behind the last tile
    for k in range(k0, k1):
        diff_lines(dy, y, n, k, r0, rows, across, slope, P, span)
        total: Any = 0.0  # in double precision
        for p in range(panels):
            for j in range(6):
                at, to = j * span + p * WIDTH, j * far + (p * channels + k) * WIDTH
                diff_columns(WIDTH, P, at, 6 * span, D, to, 6 * far)
            total += summed(D[7, p, k])  # (A dy A^T)[1, 1] is the sum of the tile
        db[k] += f1(total)


@fast
def data_tiles(
    V: Array, dx: Array, n: int, c0: int, c1: int, r0: int, rows: int, across: int, pad: int,
    carry: Array, fresh: bool, work: Array,
) -> None:  # fmt: skip
    """dx rows 4 r0 ... 4 (r0 + rows) - 1 (less pad) = B V B^T, summed where tiles overlap.

    carry[c]: what the rows above leave for the next two, not yet transformed along the row; read
    first (unless fresh), written last.  LANES more than V are read, and not used.
    """
    height, kept, count = dx.shape[2], carry.shape[3], vectors(across)
    span = kept + 2 * LANES
    P = work[: 24 * span]
    P[:] = f1(0)  # around the tiles
    far, near = V.strides[0] // 4, V.strides[1] // 4
    for c in range(c0, c1):
        if fresh:
            carry[c] = f1(0)
        for a in range(rows):
            for j in range(6):
                at, to = j * far + (c - c0) * near + a * across, j * span + LANES
                k = (12 * c + j) * kept
                data_columns(count, V, at, 6 * far, carry, k, 6 * kept, P, to, 6 * span)
            clear(24, P, LANES + across, span)
            for i in range(QUAD):
                h = QUAD * (r0 + a) + i - pad
                if 0 <= h < height:
                    data_row(P, 6 * i * span + LANES, span, across, dx, n, c, h, pad)


@fast
def last_rows(
    carry: Array, dx: Array, n: int, c0: int, c1: int, r: int, across: int, pad: int, add: bool,
    work: Array,
) -> None:  # fmt: skip
    """The two rows below tile row r - 1: written, or added to what the tiles at r have written."""
    span = carry.shape[3] + 2 * LANES
    P, line = work[: 6 * span], work[6 * span :]
    P[:] = f1(0)
    for c in range(c0, c1):
        for i in range(2):
            h = QUAD * r + i - pad
            if 0 <= h < dx.shape[2]:
                for j in range(6):
                    P[j * span + LANES : j * span + LANES + across] = carry[c, i, j, :across]
                if add:
                    add_row(P, LANES, span, across, dx, n, c, h, pad, line)
                else:
                    data_row(P, LANES, span, across, dx, n, c, h, pad)


# ------------------------------------------------------------------------- weights


@fast
def weight_tiles(w: Array, k0: int, k1: int, c0: int, c1: int, tile: int, U: Array) -> None:
    """U[ij, k - k0, c - c0] = (G g G^T)[i, j]."""
    far, near = U.strides[0] // U.itemsize, U.strides[1] // U.itemsize
    for k in range(k0, k1):
        at, to = 9 * (k * w.shape[1] + c0), (k - k0) * near
        if tile == 6:
            sort6_weights(c1 - c0, w, at, U, to, far)
        else:
            sort_weights(c1 - c0, w, at, U, to, far)


@fast
def weight_diff(U: Array, dw: Array, c0: int, c1: int, work: Array) -> None:
    """dw[k, c] += G^T U[:, k, c - c0] G."""
    far, near = U.strides[0] // U.itemsize, U.strides[1] // U.itemsize
    for k in range(len(dw)):
        weight_diffs(c1 - c0, U, k * near, far, dw, 9 * (k * dw.shape[1] + c0))


# ------------------------------------------------------------------- blocks, lanes
#
# Threads that run these do not meet: Python's lock is let go of for a whole share of the work, not
# for single transforms, between which they would wait for each other.


def counter() -> Array:
    """Gives numbers from 0 on to all threads that ask."""
    return np.zeros(1, np.int64)


def _counting() -> Callable[[Array], int]:
    """counted[0]++, atomically."""

    @intrinsic
    def take(context: Any, counted: Any) -> Any:
        def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
            data = context.make_array(signature.args[0])(context, build, args[0]).data
            return build.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "monotonic")

        return types.intp(counted), generate

    found: Any = take
    return found


_next = _counting()


@fast
def output_blocks(
    x: Array, U: Array, y: Array, bias: Array, slope: float, pad: int, starts: Array, rows: int,
    across: int, tile: int, counted: Array, V: Array, M: Array, work: Array,
) -> None:  # fmt: skip
    """y of blocks of so many tile rows, of those (image, first tile row) that nobody else takes."""
    k, c = U.shape[1:]
    i = _next(counted)
    while i < len(starts):
        n, r0 = starts[i]
        input_panels(x, n, 0, c, r0, rows, across, pad, tile, V, work)
        multiply(U, V, M, False)
        output_tiles(M, y, n, 0, k, r0, rows, bias, slope, tile, work)
        i = _next(counted)


@fast
def gradient_blocks(
    x: Array, y: Array, dy: Array, dx: Array, U: Array, slope: float, pad: int, starts: Array,
    rows: int, across: int, fresh: bool, V: Array, D: Array, M: Array, spare: Array, dU: Array,
    carry: Array, db: Array, work: Array,
) -> None:  # fmt: skip
    """Of blocks of so many tile rows, in order: dU += D V^T, dx from M = U^T D, db += sum dy.  What
    has no elements of dU and dx is left out.  V and M may lie in the same memory."""
    c, k, down = x.shape[1], dy.shape[1], -(-dy.shape[2] // QUAD)
    for i in range(len(starts)):
        n, r0 = starts[i]
        diff_panels(dy, y, n, 0, k, r0, rows, across, slope, D, db, work)
        if dU.size:
            input_panels(x, n, 0, c, r0, rows, across, pad, QUAD, V, work)
            multiply_inner(D, V, 0, c, dU, rows * across, True, spare)
        if dx.size:
            multiply_transposed(U, D, M, False)
            first = (fresh and i == 0) or r0 == 0
            data_tiles(M, dx, n, 0, c, r0, rows, across, pad, carry, first, work)
            if r0 + rows == down:
                last_rows(carry, dx, n, 0, c, down, across, pad, False, work)
