"""Between the rows of an image and lines of Winograd's tiles, compiled by Numba.

A line holds one value of each tile, tile after tile.  Along a row of the image pixels are taken
apart to four a tile, transformed once (kernels/formulas_numba.py), and become six lines; or six
lines become pixels.  The other direction is along the columns, from line to line
(kernels/tiles_numba.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler_numba import compiler
from .formulas_numba import data_rows, diff_rows, diff_rows_rectified, input_rows
from .vectors_numba import LANES, QUAD

Array = Any

f1 = np.float32
fast = compiler()


@fast
def pixels(across: int) -> int:
    """Room for a row of pixels, in whole vectors of tiles."""
    return QUAD * (across + 2 * LANES)


@fast
def place(x: Array, n: int, c: int, h: int) -> int:
    """Where x[n, c, h] starts, in elements."""
    return (n * x.strides[0] + c * x.strides[1] + h * x.strides[2]) // x.itemsize


@fast
def cut(x: Array, n: int, c: int, h: int, left: int, count: int, line: Array) -> None:
    """line[w] = x[n, c, h, left + w] for w < count, 0 outside of x."""
    row, width = x[n, c, h], x.shape[3]
    first = min(count, max(0, -left))
    last = max(first, min(count, width - left))
    line[:first] = f1(0)
    for w in range(first, last):
        line[w] = row[left + w]
    line[last:count] = f1(0)


@fast
def input_row(
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
        input_rows(inside, x, place(x, n, c, h) + left, P, to, jump)
    begin = inside * LANES
    if begin < across:
        more = (across - begin + LANES - 1) // LANES
        cut(x, n, c, h, left + QUAD * begin, QUAD * (more * LANES + 1), line)
        input_rows(more, line, 0, P, to + begin, jump)


@fast
def input_lines(
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
                input_row(x, n, c, h, -pad, across, P, to, span, line)


@fast
def diff_lines(
    dy: Array, y: Array, n: int, k: int, r0: int, rows: int, across: int, slope: float, P: Array,
    span: int, line: Array,
) -> None:  # fmt: skip
    """P[i, j, a across + t] = (dy A^T)[i, j], lines of P are `span` long; up to LANES more are
    written."""
    height, width = dy.shape[2:]
    signs = line[pixels(across) :]
    inside = width // (QUAD * LANES)
    begin = inside * LANES
    more = (across - begin + LANES - 1) // LANES
    left, count = QUAD * begin, QUAD * more * LANES
    for a in range(rows):
        for i in range(QUAD):
            h, to = QUAD * (r0 + a) + i, 6 * i * span + a * across
            if h >= height:
                for j in range(6):
                    P[to + j * span : to + j * span + across] = f1(0)
                continue
            at = place(dy, n, k, h)
            cut(dy, n, k, h, left, count, line)
            if slope == 1:
                diff_rows(inside, dy, at, P, to, span)
                diff_rows(more, line, 0, P, to + begin, span)
            else:
                beside = place(y, n, k, h)
                cut(y, n, k, h, left, count, signs)
                diff_rows_rectified(inside, dy, at, y, beside, f1(slope), P, to, span)
                diff_rows_rectified(more, line, 0, signs, 0, f1(slope), P, to + begin, span)


@fast
def data_row(
    P: Array, at: int, span: int, across: int, dx: Array, n: int, c: int, h: int, pad: int,
    add: bool, line: Array,
) -> None:  # fmt: skip
    """One row of dx from P[at + j span + t], the six values of each tile, 0 around them."""
    width, inside = dx.shape[3], 0
    if pad == 0 and not add:
        inside = width // (QUAD * LANES)
        data_rows(inside, P, at, span, f1(0), f1(0), dx, place(dx, n, c, h))
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
