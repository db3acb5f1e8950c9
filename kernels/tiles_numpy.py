"""The transforms of Winograd's F(4x4, 3x3) and F(6x6, 3x3) in NumPy: see kernels/winograd.py.

The specification of kernels/tiles_numba.py, and what runs where Numba is not installed.  A
transform is linear, so it is a matrix, and a BLAS multiplies by it at a speed that dozens of passes
with a few operations each do not reach: by B^T along the columns of whole rows of pixels, which
neighbours share, and then along the rows; by the others along both at once, with Kronecker's
product.  What is left are copies of strided pixels, each a single call: the threads of
kernels/workers.py wait for Python's lock between calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count as numbers
from math import prod
from typing import Any

import numpy as np

from .im2col import pieces
from .relu import rectify

Array = Any

NAME = "NumPy"
BLOCK = 1_300_000  # elements of V and M of one block: fewer calls weigh more than the cache
MANY = 2.4  # pixels of y for each weight, to make whole blocks of so large a layer
COLUMNS = 64  # columns of dU at a time, no more than channels of U
DEEP = 1 << 30  # channels of U that are summed at a time: all
SIX = 0.0  # tiles of 6x6: never, the forward pass of the paper's net takes 1.17 of the time
CELLS = 9_200  # tiles at once: fewer calls weigh more than the cache

_BT4 = [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]]  # fmt: skip
_AT4 = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
_G4 = [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6],
       [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]]  # fmt: skip
_BT6 = [[1, 0, -21 / 4, 0, 21 / 4, 0, -1, 0], [0, 1, 1, -17 / 4, -17 / 4, 1, 1, 0],
        [0, -1, 1, 17 / 4, -17 / 4, -1, 1, 0], [0, 1 / 2, 1 / 4, -5 / 2, -5 / 4, 2, 1, 0],
        [0, -1 / 2, 1 / 4, 5 / 2, -5 / 4, -2, 1, 0], [0, 2, 4, -5 / 2, -5, 1 / 2, 1, 0],
        [0, -2, 4, 5 / 2, -5, -1 / 2, 1, 0], [0, -1, 0, 21 / 4, 0, -21 / 4, 0, 1]]  # fmt: skip
_AT6 = [[1, 1, 1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 1 / 2, -1 / 2, 0],
        [0, 1, 1, 4, 4, 1 / 4, 1 / 4, 0], [0, 1, -1, 8, -8, 1 / 8, -1 / 8, 0],
        [0, 1, 1, 16, 16, 1 / 16, 1 / 16, 0], [0, 1, -1, 32, -32, 1 / 32, -1 / 32, 1]]  # fmt: skip
_G6 = [[1, 0, 0], [-2 / 9, -2 / 9, -2 / 9], [-2 / 9, 2 / 9, -2 / 9], [1 / 90, 1 / 45, 2 / 45],
       [1 / 90, -1 / 45, 2 / 45], [32 / 45, 16 / 45, 8 / 45], [32 / 45, -16 / 45, 8 / 45],
       [0, 0, 1]]  # fmt: skip


def _twice(matrix: Any) -> Array:
    """Of rows and of columns."""
    return np.kron(np.array(matrix), matrix).astype(np.float32)


LINES = {4: np.array(_BT4, np.float32), 6: np.array(_BT6, np.float32)}
OUTPUT, WEIGHT = {4: _twice(_AT4), 6: _twice(_AT6)}, {4: _twice(_G4), 6: _twice(_G6)}
DATA, DIFF = np.ascontiguousarray(_twice(_BT4).T), np.ascontiguousarray(OUTPUT[4].T)


def work_size(channels: int, rows: int, across: int, tile: int) -> int:
    """Elements of scratch that any transform needs."""
    cells, side = rows * across, tile + 2
    lines = ((tile + side) * rows + 2) * (tile * across + 2)
    most = (side * side * cells + lines) * min(channels, max(1, CELLS // cells))
    return max(9 * channels, most)


def panels_shape(channels: int, cells: int, tile: int) -> tuple[int, ...]:
    """V, or D, as it is multiplied."""
    return (tile + 2) ** 2, channels, cells


def whole(columns: int) -> int:
    """How long a row of M, or of dU, is."""
    return columns


def spare_size(channels: int, outputs: int) -> int:
    """Elements of scratch that multiply_inner needs where it adds."""
    return 36 * channels * outputs


def _at_once(first: int, end: int, cells: int) -> Iterator[tuple[int, int]]:
    for a, b in pieces(end - first, max(1, CELLS // cells)):
        yield first + a, first + b


def _take(work: Array, *shape: int) -> tuple[Array, Array]:
    size = prod(shape)
    return work[:size].reshape(shape), work[size:]


def _window(x: Array, top: int, left: int, to: Array) -> None:
    """to[c, h, w] = x[c, top + h, left + w], 0 outside."""
    (height, width), (h, w) = x.shape[1:], to.shape[1:]
    h0, h1 = min(h, max(0, -top)), max(0, min(h, height - top))
    w0, w1 = min(w, max(0, -left)), max(0, min(w, width - left))
    if (h1 - h0, w1 - w0) != (h, w):
        to.fill(0)
    if h0 < h1 and w0 < w1:
        to[:, h0:h1, w0:w1] = x[:, top + h0 : top + h1, left + w0 : left + w1]


def input_panels(
    x: Array, n: int, c0: int, c1: int, r0: int, rows: int, across: int, pad: int, tile: int,
    V: Array, work: Array,
) -> None:  # fmt: skip
    """V[ij, c, t] = (B^T d B)[i, j]."""
    cells, side = rows * across, tile + 2
    out, matrix = V.reshape(side, side, -1), LINES[tile]
    top, high, wide = tile * r0 - pad, tile * rows + 2, tile * across + 2
    height, width = x.shape[2:]
    inside = min(width, wide - pad)
    for a, b in _at_once(c0, c1, cells):
        image, first, rest = x[n, a:b], top, work
        if top < 0 or top + high > height:
            image, rest = _take(work, b - a, high, width)
            _window(x[n, a:b], top, 0, image)
            first = 0
        lines, rest = _take(rest, b - a, rows, side, wide)
        if inside < wide:
            lines[..., :pad] = 0
            lines[..., pad + inside :] = 0
        c, h, w = image.strides
        tiles = _seen(image, first * h, (b - a, rows, side, inside), (c, tile * h, h, w))
        np.matmul(matrix, tiles, out=lines[..., pad : pad + inside])
        d, _ = _take(rest, side, side, b - a, rows, across)
        c, r, i, w = lines.strides
        d[...] = _seen(lines, 0, d.shape, (i, w, c, r, tile * w))
        np.matmul(matrix, d.reshape(side, side, -1), out=out[..., a * cells : b * cells])


def _seen(a: Array, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """A contiguous array with other strides; as_strided does it ten times more slowly."""
    return np.ndarray(shape, a.dtype, a, offset, strides)


def multiply(U: Array, V: Array, M: Array, add: bool) -> None:
    """M[ij] (+)= U[ij] V[ij]."""
    if add:
        M += np.matmul(U, V)
    else:
        np.matmul(U, V, out=M)


def multiply_transposed(U: Array, D: Array, M: Array, add: bool) -> None:
    """M[ij] (+)= U[ij]^T D[ij]."""
    multiply(U.transpose(0, 2, 1), D, M, add)


def multiply_inner(
    D: Array, V: Array, first: int, end: int, dU: Array, cells: int, add: bool, spare: Array
) -> None:
    """dU[ij] (+)= D[ij] V[ij]^T for rows first ... end - 1 of V."""
    product = spare[: dU.size].reshape(dU.shape) if add else dU
    np.matmul(D, V[:, first:end].transpose(0, 2, 1), out=product)
    if add:
        dU += product


def output_tiles(
    M: Array, y: Array, n: int, k0: int, k1: int, r0: int, rows: int, bias: Array, slope: float,
    tile: int, work: Array,
) -> None:  # fmt: skip
    """y = A^T M A + bias; negative values times slope."""
    cells, every = M.shape[2], M.reshape(len(M), -1)
    M[tile + 3] += bias[k0:k1, None]  # element [1, 1]: all of its tile's y have it as it is
    for a, b in _at_once(k0, k1, cells):
        m = every[:, (a - k0) * cells : (b - k0) * cells]
        z, rest = _take(work, tile * tile, m.shape[1])
        np.matmul(OUTPUT[tile], m, out=z)
        _rectify(z, z, slope, rest)
        tiles = z.reshape(tile, tile, b - a, rows, -1)
        _scatter(tiles, y[n, a:b, tile * r0 : tile * (r0 + rows)])


def _scatter(z: Array, part: Array) -> None:
    """part[k, m h + i, m w + j] = z[i, j, k, h, w], i, j < m; what sticks out below and right is
    left out."""
    m, (k, height, width) = len(z), part.shape
    h, w = height // m, width // m
    lines = part[:, : m * h].reshape(k, h, m, width)
    tiles = lines[..., : m * w].reshape(k, h, m, w, m).transpose(2, 4, 0, 1, 3)
    np.add(z[..., :h, :w], 0, out=tiles)  # a plain copy has its innermost loop over the few j
    if width > m * w:
        lines[..., m * w :].transpose(2, 3, 0, 1)[...] = z[:, : width - m * w, :, :h, w]
    if height > m * h:
        for j in range(m):
            last = part[:, m * h :, j::m].swapaxes(0, 1)
            last[...] = z[: height - m * h, j, :, h, : last.shape[2]]


def _rectify(sign: Array, d: Array, slope: float, work: Array) -> None:
    """d times slope where sign is not positive."""
    if slope == 0 and sign is d:
        rectify(d, work)
    elif slope != 1:
        factor, _ = _take(work, *d.shape)
        np.less_equal(sign, 0, out=factor)
        factor *= slope - 1
        factor += 1
        d *= factor


def diff_panels(
    dy: Array, y: Array, n: int, k0: int, k1: int, r0: int, rows: int, across: int, slope: float,
    D: Array, db: Array, work: Array,
) -> None:  # fmt: skip
    """D[ij, k, t] = (A dy A^T)[i, j], dy times slope where y <= 0; db[k] += sum dy."""
    cells, out = rows * across, D.reshape(36, -1)
    for a, b in _at_once(k0, k1, cells):
        image, rest = _take(work, b - a, 4 * rows, 4 * across)
        _window(dy[n, a:b], 4 * r0, 0, image)
        if slope != 1:
            sign, other = _take(rest, b - a, 4 * rows, 4 * across)
            _window(y[n, a:b], 4 * r0, 0, sign)
            _rectify(sign, image, slope, other)
        db[a:b] += image.sum(axis=(1, 2), dtype=np.float64).astype(db.dtype)
        z, _ = _take(rest, 4, 4, b - a, rows, across)
        z[...] = image.reshape(b - a, rows, 4, across, 4).transpose(2, 4, 0, 1, 3)
        np.matmul(DIFF, z.reshape(16, -1), out=out[:, a * cells : b * cells])


def data_tiles(
    V: Array, dx: Array, n: int, c0: int, c1: int, r0: int, rows: int, across: int, pad: int,
    carry: Array, fresh: bool, work: Array,
) -> None:  # fmt: skip
    """dx rows 4 r0 ... 4 (r0 + rows) - 1 (less pad) = B V B^T, summed where tiles overlap.

    carry[c, i, j]: what the rows above leave for pixel j of their tiles in the next two rows; read
    first (unless fresh), written last.
    """
    cells, every = rows * across, V.reshape(36, -1)
    for a, b in _at_once(c0, c1, cells):
        q, rest = _take(work, 6, 6, b - a, rows, across)
        np.matmul(DATA, every[:, (a - c0) * cells : (b - c0) * cells], out=q.reshape(36, -1))
        q[:2, :, :, 1:] += q[4:, :, :, :-1]
        into = carry[a:b].transpose(1, 2, 0, 3)
        if not fresh:
            q[:2, :, :, 0] += into
        into[...] = q[4:, :, :, -1]
        lines, _ = _take(rest, b - a, rows, 4, across + 1, 4)
        _columns(q[:4], lines)
        _place(lines.reshape(b - a, 4 * rows, -1), dx[n, a:b], 4 * r0, pad, False)


def _columns(q: Array, lines: Array) -> None:
    """lines[c, a, i, t, j]: the columns 4 t + j of q[i, j, c, a, t]; neighbours overlap by two."""
    pixels = q.transpose(2, 3, 0, 4, 1)
    lines[..., -1, :] = 0
    lines[..., :-1, :] = pixels[..., :4]
    lines[..., 1:, :2] += pixels[..., 4:]


def _place(lines: Array, dx: Array, top: int, pad: int, add: bool) -> None:
    """Rows of dx from lines (c, rows, columns), which begin at row top - pad, column -pad."""
    first = max(0, pad - top)
    last = min(lines.shape[1], dx.shape[1] + pad - top)
    if first < last:
        part = dx[:, top + first - pad : top + last - pad]
        source = lines[:, first:last, pad : pad + dx.shape[2]]
        if add:
            part += source
        else:
            part[...] = source


def last_rows(
    carry: Array, dx: Array, n: int, c0: int, c1: int, r: int, across: int, pad: int, add: bool,
    work: Array,
) -> None:  # fmt: skip
    """The two rows below tile row r - 1: written, or added to what the tiles at r have written."""
    for a, b in _at_once(c0, c1, 2 * across):
        lines, _ = _take(work, b - a, 1, 2, across + 1, 4)
        _columns(carry[a:b, None].transpose(2, 3, 0, 1, 4), lines)
        _place(lines.reshape(b - a, 2, -1), dx[n, a:b], 4 * r, pad, add)


def weight_tiles(w: Array, k0: int, k1: int, c0: int, c1: int, tile: int, U: Array) -> None:
    """U[ij, k - k0, c - c0] = (G g G^T)[i, j]."""
    g = w[k0:k1, c0:c1].reshape(k1 - k0, c1 - c0, 9)
    np.matmul(WEIGHT[tile], g.transpose(0, 2, 1), out=U.transpose(1, 0, 2))


def weight_diff(U: Array, dw: Array, c0: int, c1: int, work: Array) -> None:
    """dw[k, c] += G^T U[:, k, c - c0] G."""
    for a, b in pieces(len(dw), work.size // (9 * (c1 - c0))):
        g, _ = _take(work, b - a, c1 - c0, 9)
        np.matmul(U[:, a:b].transpose(1, 2, 0), WEIGHT[4], out=g)
        dw[a:b, c0:c1] += g.reshape(b - a, c1 - c0, 3, 3)


def counter() -> Iterator[int]:
    """Gives numbers from 0 on to all threads that ask."""
    return numbers()


def output_blocks(
    x: Array, U: Array, y: Array, bias: Array, slope: float, pad: int, starts: Array, rows: int,
    across: int, tile: int, counted: Iterator[int], V: Array, M: Array, work: Array,
) -> None:  # fmt: skip
    """y of blocks of so many tile rows, of those (image, first tile row) that nobody else takes."""
    k, c = U.shape[1:]
    while (i := next(counted)) < len(starts):
        n, r0 = map(int, starts[i])
        input_panels(x, n, 0, c, r0, rows, across, pad, tile, V, work)
        multiply(U, V, M, False)
        output_tiles(M, y, n, 0, k, r0, rows, bias, slope, tile, work)


def gradient_blocks(
    x: Array, y: Array, dy: Array, dx: Array, U: Array, slope: float, pad: int, starts: Array,
    rows: int, across: int, fresh: bool, V: Array, D: Array, M: Array, spare: Array, dU: Array,
    carry: Array, db: Array, work: Array,
) -> None:  # fmt: skip
    """Of blocks of so many tile rows, in order: dU += D V^T, dx from M = U^T D, db += sum dy.  What
    has no elements of dU and dx is left out.  V and M may lie in the same memory."""
    c, k, down = x.shape[1], dy.shape[1], -(-dy.shape[2] // 4)
    for i in range(len(starts)):
        n, r0 = map(int, starts[i])
        diff_panels(dy, y, n, 0, k, r0, rows, across, slope, D, db, work)
        if dU.size:
            input_panels(x, n, 0, c, r0, rows, across, pad, 4, V, work)
            multiply_inner(D, V, 0, c, dU, rows * across, True, spare)
        if dx.size:
            multiply_transposed(U, D, M, False)
            first = (fresh and i == 0) or r0 == 0
            data_tiles(M, dx, n, 0, c, r0, rows, across, pad, carry, first, work)
            if r0 + rows == down:
                last_rows(carry, dx, n, 0, c, down, across, pad, False, work)
