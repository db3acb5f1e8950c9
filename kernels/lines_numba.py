"""Between the rows of an image and lines of Winograd's tiles, compiled by Numba.

A line holds one value of each tile, tile after tile.  Along a row of the image pixels are taken
apart to four (six) a tile, transformed once (kernels/formulas_numba.py), and become six (eight)
lines; or six lines become pixels.  The other direction is along the columns, from line to line
(kernels/tiles_numba.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler_numba import compiler
from .formulas_numba import (
    again,
    again6,
    data_rows,
    diff_rows,
    diff_rows_rectified,
    input6_rows,
    input_rows,
)
from .vectors_numba import fetch
from .writer_numba import LANES, QUAD

Array = Any

f1 = np.float32
fast = compiler()
within = compiler(forceinline=True)  # rows are short, and calls with arrays long


@fast
def pixels(across: int) -> int:
    """Room for a row of pixels, in whole vectors of tiles."""
    return QUAD * (across + 2 * LANES)


@within
def place(x: Array, n: int, c: int, h: int) -> int:
    """Where x[n, c, h] starts, in elements."""
    # strides are in bytes; a number's size as a constant, since dividing takes long
    return (n * x.strides[0] + c * x.strides[1] + h * x.strides[2]) // 4


@within
def vectors(tiles: int) -> int:
    """That hold so many tiles."""
    return (tiles + LANES - 1) // LANES


@within
def input_row(
    x: Array, n: int, c: int, h: int, left: int, across: int, tile: int, P: Array, to: int,
    jump: int,
) -> None:  # fmt: skip
    """P[to + j jump + t] = (d B)[j] of the row h of tile t; up to LANES more are written."""
    if h < 0 or h >= x.shape[2]:
        for j in range(tile + 2):
            P[to + j * jump : to + j * jump + across] = f1(0)
    else:
        at, end = place(x, n, c, h) + left, x.shape[3] - left
        if tile == 6:
            input6_rows(vectors(across), x, at, -left, end, P, to, jump)
        else:
            input_rows(vectors(across), x, at, -left, end, P, to, jump)


@fast
def input_lines(
    x: Array, n: int, c: int, r0: int, rows: int, across: int, pad: int, tile: int, P: Array,
    span: int,
) -> None:  # fmt: skip
    """P[i, j, a across + t] = (d B)[i, j], lines of P are `span` long."""
    side = tile + 2
    for a in range(rows):
        for i in range(side):
            to = side * i * span + a * across
            if i < 2 and a > 0:  # the row is one of the tiles above, too
                if tile == 6:
                    again6(across, P, to + tile * side * span - across, span, P, to, span)
                else:
                    again(across, P, to + tile * side * span - across, span, P, to, span)
            else:
                h = tile * (r0 + a) + i - pad
                fetch(x, place(x, n, c + 1, h), x.shape[3])  # of the next channel
                input_row(x, n, c, h, -pad, across, tile, P, to, span)


@fast
def diff_lines(
    dy: Array, y: Array, n: int, k: int, r0: int, rows: int, across: int, slope: float, P: Array,
    span: int,
) -> None:  # fmt: skip
    """P[i, j, a across + t] = (dy A^T)[i, j], lines of P are `span` long; up to LANES more are
    written."""
    height, width = dy.shape[2:]
    for a in range(rows):
        for i in range(QUAD):
            h, to = QUAD * (r0 + a) + i, 6 * i * span + a * across
            if h >= height:
                for j in range(6):
                    P[to + j * span : to + j * span + across] = f1(0)
                continue
            at = place(dy, n, k, h)
            if slope == 1:
                diff_rows(vectors(across), dy, at, 0, width, P, to, span)
            else:
                beside = place(y, n, k, h)
                diff_rows_rectified(
                    vectors(across), dy, at, y, beside, 0, width, f1(slope), P, to, span
                )


@within
def data_row(
    P: Array, at: int, span: int, across: int, dx: Array, n: int, c: int, h: int, pad: int
) -> None:
    """One row of dx from P[at + j span + t], the six values of each tile, 0 around them."""
    to, none = place(dx, n, c, h) - pad, f1(0)
    data_rows(vectors(across + 1), P, at, span, none, none, dx, to, pad, pad + dx.shape[3])


@fast
def add_row(
    P: Array, at: int, span: int, across: int, dx: Array, n: int, c: int, h: int, pad: int,
    line: Array,
) -> None:  # fmt: skip
    """The same, added to what is there."""
    data_rows(vectors(across + 1), P, at, span, f1(0), f1(0), line, 0, 0, len(line))
    row = dx[n, c, h]
    for w in range(dx.shape[3]):
        row[w] += line[w + pad]
