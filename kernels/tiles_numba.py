"""The transforms of Winograd's F(4x4, 3x3), compiled by Numba: see kernels/winograd.py.

A one-dimensional transform (kernels/formulas_numba.py) is applied twice: along a row of the image,
where pixels are taken apart, or put together, to four a tile; and along the columns, over lines in
which the tiles stand one behind the other, all rows of them.  Same functions, same arguments as
kernels/tiles_numpy.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler_numba import compiler
from .formulas_numba import (
    data_columns,
    data_rows,
    diff_columns,
    diff_rows,
    diff_rows_rectified,
    gather,
    input_columns,
    input_rows,
    output_columns,
    output_rows,
    spread,
)
from .products_numba import WIDTH
from .products_numba import multiply as multiply
from .vectors_numba import LANES, QUAD

Array = Any

NAME = "Numba"
BLOCK = 650_000  # elements of V and M of one block: they stay in a core's share of the cache
BAND = 256  # tiles whose lines stay in the first-level cache
f1 = np.float32
fast = compiler()


# ------------------------------------------------------------------------ shapes


def work_size(channels: int, rows: int, across: int) -> int:
    """Elements of scratch that any transform needs."""
    line = panels_shape(1, rows * across)[1] * WIDTH + 2 * LANES + 1
    return max(36 * line + 2 * _pixels(across), 27 * channels)


def panels_shape(channels: int, cells: int) -> tuple[int, int, int, int]:
    """V in panels (kernels/products_numba.py)."""
    return 36, -(-cells // WIDTH), channels, WIDTH


def whole(cells: int) -> int:
    """How long a row of M is: whole vectors."""
    return -(-cells // LANES) * LANES


@fast
def _pixels(across: int) -> int:
    """Room for a row of pixels, in whole vectors of tiles."""
    return QUAD * (across + 2 * LANES)


@fast
def _row(x: Array, n: int, c: int, h: int) -> int:
    """Where x[n, c, h] starts, in elements."""
    return (n * x.strides[0] + c * x.strides[1] + h * x.strides[2]) // x.itemsize


@fast
def _cut(x: Array, n: int, c: int, h: int, left: int, count: int, line: Array) -> None:
    """line[w] = x[n, c, h, left + w] for w < count, 0 outside of x."""
    row, width = x[n, c, h], x.shape[3]
    first = min(count, max(0, -left))
    last = max(first, min(count, width - left))
    line[:first] = f1(0)
    for w in range(first, last):
        line[w] = row[left + w]
    line[last:count] = f1(0)


# ------------------------------------------------------------------- input, output


@fast
def _input_row(
    x: Array, n: int, c: int, h: int, left: int, across: int, P: Array, to: int, jump: int,
    line: Array,
) -> None:  # fmt: skip
    """P[to + j jump + t] = (d B)[j] of the row h of tile t; up to LANES more are written."""
    if h < 0 or h >= x.shape[2]:
        for j in range(6):
            P[to + j * jump : to + j * jump + across] = f1(0)
        return
    inside = 0
    if left >= 0:
        inside = max(0, min(across // LANES, (x.shape[3] - left - QUAD) // (QUAD * LANES)))
        input_rows(inside, x, _row(x, n, c, h) + left, P, to, jump)
    begin = inside * LANES
    if begin < across:
        more = (across - begin + LANES - 1) // LANES
        _cut(x, n, c, h, left + QUAD * begin, QUAD * (more * LANES + 1), line)
        input_rows(more, line, 0, P, to + begin, jump)


@fast
def _input_lines(
    x: Array, n: int, c: int, r0: int, rows: int, across: int, pad: int, P: Array, span: int,
    line: Array,
) -> None:  # fmt: skip
    """P[i, j, a across + t] = (d B)[i, j], lines of P are `span` long."""
    for a in range(rows):
        for i in range(6):
            to = 6 * i * span + a * across
            if i < 2 and a > 0:  # the row is one of the tiles above, too
                for j in range(6):
                    k = to + j * span
                    P[k : k + across] = P[k + 24 * span - across : k + 24 * span]
            else:
                h = QUAD * (r0 + a) + i - pad
                _input_row(x, n, c, h, -pad, across, P, to, span, line)


@fast
def input_tiles(
    x: Array, n: int, c0: int, c1: int, first: int, r0: int, rows: int, pad: int, V: Array,
    work: Array,
) -> None:  # fmt: skip
    """V[ij, c - first, t] = (B^T d B)[i, j]."""
    cells = V.shape[2]
    across, span = cells // rows, cells + LANES
    P, line = work[: 36 * span], work[36 * span :]
    far, near = V.strides[0] // V.itemsize, V.strides[1] // V.itemsize
    for c in range(c0, c1):
        _input_lines(x, n, c, r0, rows, across, pad, P, span, line)
        for j in range(6):
            to = j * far + (c - first) * near
            input_columns(cells, P, j * span, 6 * span, V, to, 6 * far)


@fast
def input_panels(
    x: Array, n: int, c0: int, c1: int, r0: int, rows: int, across: int, pad: int, V: Array,
    work: Array,
) -> None:  # fmt: skip
    """The same in panels: V[ij, p, c, t] is tile WIDTH p + t."""
    _, panels, channels, _ = V.shape
    span = panels * WIDTH + LANES
    P, line = work[: 36 * span], work[36 * span :]
    far = V.strides[0] // V.itemsize
    P[:] = f1(0)  # behind the last tile
    for c in range(c0, c1):
        _input_lines(x, n, c, r0, rows, across, pad, P, span, line)
        for p in range(panels):
            for j in range(6):
                at, to = j * span + p * WIDTH, j * far + (p * channels + c) * WIDTH
                input_columns(WIDTH, P, at, 6 * span, V, to, 6 * far)


@fast
def output_tiles(
    M: Array, y: Array, n: int, k0: int, k1: int, r0: int, rows: int, bias: Array, slope: float,
    work: Array,
) -> None:  # fmt: skip
    """y = A^T M A + bias; negative values times slope."""
    (height, width), across = y.shape[2:], -(-y.shape[3] // QUAD)
    band = max(1, BAND // across)
    span = min(band, rows) * across + 2 * LANES
    P, line = work[: 24 * span], work[24 * span :]
    far, near = M.strides[0] // M.itemsize, M.strides[1] // M.itemsize
    inside = width // (QUAD * LANES)  # whole vectors
    for k in range(k0, k1):
        for a0 in range(0, rows, band):
            begin, end = a0 * across, min(rows, a0 + band) * across
            start = max(0, min(begin, end - LANES))  # a whole vector, even of a narrow band
            shift = LANES - (begin - start)
            for j in range(6):
                at = j * far + (k - k0) * near + start
                count = max(LANES, end - start)
                output_columns(count, M, at, 6 * far, P, j * span + shift, 6 * span)
            for a in range(a0, min(rows, a0 + band)):
                for i in range(min(QUAD, height - QUAD * (r0 + a))):
                    at, to = (
                        6 * i * span + LANES + a * across - begin,
                        _row(y, n, k, QUAD * (r0 + a) + i),
                    )
                    output_rows(inside, P, at, span, bias[k], f1(slope), y, to)
                    done = inside * LANES
                    if QUAD * done < width:
                        more = (across - done + LANES - 1) // LANES
                        output_rows(more, P, at + done, span, bias[k], f1(slope), line, 0)
                        row = y[n, k, QUAD * (r0 + a) + i]
                        for w in range(QUAD * done, width):
                            row[w] = line[w - QUAD * done]


# --------------------------------------------------------------- gradients of both


@fast
def diff_tiles(
    dy: Array, y: Array, n: int, k0: int, k1: int, first: int, r0: int, rows: int, slope: float,
    D: Array, db: Array, work: Array,
) -> None:  # fmt: skip
    """D[ij, k - first, t] = (A dy A^T)[i, j], dy times slope where y <= 0; db[k] += sum dy."""
    cells, (height, width) = D.shape[2], dy.shape[2:]
    across, span = cells // rows, cells + LANES
    P, line = work[: 24 * span], work[24 * span : 24 * span + _pixels(across)]
    signs = work[24 * span + line.size :]
    far, near = D.strides[0] // D.itemsize, D.strides[1] // D.itemsize
    inside = width // (QUAD * LANES)
    begin = inside * LANES
    more = (across - begin + LANES - 1) // LANES
    left, count = QUAD * begin, QUAD * more * LANES
    for k in range(k0, k1):
        for a in range(rows):
            for i in range(QUAD):
                h, to = QUAD * (r0 + a) + i, 6 * i * span + a * across
                if h >= height:
                    for j in range(6):
                        P[to + j * span : to + j * span + across] = f1(0)
                    continue
                at = _row(dy, n, k, h)
                _cut(dy, n, k, h, left, count, line)
                if slope == 1:
                    diff_rows(inside, dy, at, P, to, span)
                    diff_rows(more, line, 0, P, to + begin, span)
                else:
                    beside = _row(y, n, k, h)
                    _cut(y, n, k, h, left, count, signs)
                    diff_rows_rectified(inside, dy, at, y, beside, f1(slope), P, to, span)
                    diff_rows_rectified(more, line, 0, signs, 0, f1(slope), P, to + begin, span)
        for j in range(6):
            to = j * far + (k - first) * near
            diff_columns(cells, P, j * span, 6 * span, D, to, 6 * far)
        total: Any = 0.0  # in double precision
        for t in range(cells):
            total += D[7, k - first, t]  # (A dy A^T)[1, 1] is the sum of the tile
        db[k] += f1(total)


@fast
def _data_row(
    P: Array, at: int, span: int, across: int, dx: Array, n: int, c: int, h: int, pad: int,
    add: bool, line: Array,
) -> None:  # fmt: skip
    """One row of dx from P[at + j span + t], the six values of each tile, 0 around them."""
    width, inside = dx.shape[3], 0
    if pad == 0 and not add:
        inside = width // (QUAD * LANES)
        data_rows(inside, P, at, span, f1(0), f1(0), dx, _row(dx, n, c, h))
    done = inside * LANES
    more = (across + 1 - done + LANES - 1) // LANES
    data_rows(more, P, at + done, span, f1(0), f1(0), line, 0)
    row = dx[n, c, h]
    if add:
        for w in range(width):
            row[w] += line[w + pad]
    else:
        for w in range(QUAD * done, width):
            row[w] = line[w + pad - QUAD * done]


@fast
def data_tiles(
    V: Array, dx: Array, n: int, c0: int, c1: int, r0: int, rows: int, pad: int, carry: Array,
    fresh: bool, work: Array,
) -> None:  # fmt: skip
    """dx rows 4 r0 ... 4 (r0 + rows) - 1 (less pad) = B V B^T, summed where tiles overlap.

    carry[c]: what the rows above leave for the next two, not yet transformed along the row; read
    first (unless fresh), written last.
    """
    across, height = V.shape[2] // rows, dx.shape[2]
    span = across + 2 * LANES
    P, line = work[: 36 * span], work[36 * span :]
    P[:] = f1(0)  # around the tiles
    far, near = V.strides[0] // V.itemsize, V.strides[1] // V.itemsize
    for c in range(c0, c1):
        for a in range(rows):
            for j in range(6):
                at, to = j * far + (c - c0) * near + a * across, j * span + LANES
                data_columns(across, V, at, 6 * far, P, to, 6 * span)
                for i in range(2):
                    into = P[to + 6 * i * span : to + 6 * i * span + across]
                    left = P[to + 6 * (4 + i) * span : to + 6 * (4 + i) * span + across]
                    over = carry[c, i, j]
                    if not (fresh and a == 0):
                        for t in range(across):
                            into[t] += over[t]
                    over[:] = left
            for i in range(QUAD):
                h = QUAD * (r0 + a) + i - pad
                if 0 <= h < height:
                    at = 6 * i * span + LANES
                    _data_row(P, at, span, across, dx, n, c, h, pad, False, line)


@fast
def last_rows(
    carry: Array, dx: Array, n: int, c0: int, c1: int, r: int, pad: int, add: bool, work: Array
) -> None:
    """The two rows below tile row r - 1: written, or added to what the tiles at r have written."""
    across = carry.shape[3]
    span = across + 2 * LANES
    P, line = work[: 6 * span], work[6 * span :]
    P[:] = f1(0)
    for c in range(c0, c1):
        for i in range(2):
            h = QUAD * r + i - pad
            if 0 <= h < dx.shape[2]:
                for j in range(6):
                    P[j * span + LANES : j * span + LANES + across] = carry[c, i, j]
                _data_row(P, LANES, span, across, dx, n, c, h, pad, add, line)


# ------------------------------------------------------------------------- weights


@fast
def weight_tiles(w: Array, k0: int, k1: int, c0: int, c1: int, U: Array, work: Array) -> None:
    """U[ij, k - k0, c - c0] = (G g G^T)[i, j]."""
    n = c1 - c0
    z, P = work[: 9 * n], work[9 * n : 27 * n]
    far, near = U.strides[0] // U.itemsize, U.strides[1] // U.itemsize
    for k in range(k0, k1):
        for c in range(n):
            for i in range(3):
                for j in range(3):
                    z[(3 * i + j) * n + c] = w[k, c0 + c, i, j]
        for j in range(3):
            spread(n, z, j * n, 3 * n, P, j * n, 3 * n)
        for i in range(6):
            spread(n, P, 3 * i * n, n, U, 6 * i * far + (k - k0) * near, far)


@fast
def weight_diff(U: Array, dw: Array, k0: int, k1: int, work: Array) -> None:
    """dw[k, c] += G^T U[:, k - k0, c] G."""
    n = dw.shape[1]
    P, z = work[: 18 * n], work[18 * n : 27 * n]
    far, near = U.strides[0] // U.itemsize, U.strides[1] // U.itemsize
    for k in range(k0, k1):
        for j in range(6):
            gather(n, U, j * far + (k - k0) * near, 6 * far, P, j * n, 6 * n)
        for i in range(3):
            gather(n, P, 6 * i * n, n, z, 3 * i * n, n)
        for c in range(n):
            for i in range(3):
                for j in range(3):
                    dw[k, c, i, j] += z[(3 * i + j) * n + c]
