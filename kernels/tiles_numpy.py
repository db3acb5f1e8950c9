"""The transforms of Winograd's F(4x4, 3x3) in NumPy: see kernels/winograd.py.

The specification of kernels/tiles_numba.py, and what runs where Numba is not installed.  Some
channels at a time, so that the dozens of passes over a part read the cache.  First the rows of all
tiles are combined (neighbours in memory), then the columns, which are strided by 4: they are cut
into their four phases once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .im2col import pieces

Array = Any

NAME = "NumPy"
CELLS = 1 << 13  # elements of a temporary


def work_size(channels: int, rows: int, across: int) -> int:
    """Elements of scratch that any transform needs."""
    return (16 + 24 + 36 + 4) * max(CELLS, (rows + 1) * (across + 1), channels)


def panels_shape(channels: int, cells: int) -> tuple[int, ...]:
    """V as multiply reads it."""
    return 36, channels, cells


def whole(cells: int) -> int:
    """How long a row of M is."""
    return cells


def _at_once(first: int, end: int, cells: int) -> Iterator[tuple[int, int]]:
    for a, b in pieces(end - first, max(1, CELLS // cells)):
        yield first + a, first + b


def _take(work: Array, *shape: int) -> tuple[Array, Array]:
    size = int(np.prod(shape))
    return work[:size].reshape(shape), work[size:]


def _phases(x: Array, top: int, left: int, z: Array) -> None:
    """z[i, j, c, a, t] = x[c, top + 4 a + i, left + 4 t + j], 0 outside."""
    height, width = x.shape[1:]
    z.fill(0)
    for i in range(4):
        for j in range(4):
            a0, t0 = max(0, -(-(-top - i) // 4)), max(0, -(-(-left - j) // 4))
            rows = x[:, top + i + 4 * a0 :: 4, left + j + 4 * t0 :: 4]
            rows = rows[:, : max(0, z.shape[3] - a0), : max(0, z.shape[4] - t0)]
            if height > top + i + 4 * a0 and width > left + j + 4 * t0:
                z[i, j, :, a0 : a0 + rows.shape[1], t0 : t0 + rows.shape[2]] = rows


def _bt(d: list[Array], o: list[Array], s: Array, t: Array) -> None:
    """o = B^T d."""
    d0, d1, d2, d3, d4, d5 = d
    np.multiply(d2, -4, out=s)
    s += d4
    np.multiply(d1, -4, out=t)
    t += d3
    np.add(s, t, out=o[1])
    np.subtract(s, t, out=o[2])
    np.subtract(d4, d2, out=s)
    np.subtract(d3, d1, out=t)
    t *= 2
    np.add(s, t, out=o[3])
    np.subtract(s, t, out=o[4])
    np.subtract(d0, d2, out=o[0])
    o[0] *= 4
    o[0] += s
    np.subtract(d5, d3, out=t)
    np.subtract(d1, d3, out=o[5])
    o[5] *= 4
    o[5] += t


def _at(m: list[Array], o: list[Array], s: Array, t: Array) -> None:
    """o = A^T m."""
    np.add(m[1], m[2], out=s)
    np.add(m[3], m[4], out=t)
    np.add(m[0], s, out=o[0])
    o[0] += t
    t *= 4
    np.add(s, t, out=o[2])
    np.subtract(m[1], m[2], out=s)
    np.subtract(m[3], m[4], out=t)
    t *= 2
    np.add(s, t, out=o[1])
    t *= 4
    np.add(s, t, out=o[3])
    o[3] += m[5]


def _a(d: list[Array], o: list[Array], s: Array, t: Array) -> None:
    """o = A d."""
    o[0][...] = d[0]
    o[5][...] = d[3]
    np.add(d[0], d[2], out=s)
    np.add(d[1], d[3], out=t)
    np.add(s, t, out=o[1])
    np.subtract(s, t, out=o[2])
    np.multiply(d[3], 4, out=t)
    t += d[1]
    t *= 2
    np.multiply(d[2], 4, out=s)
    s += d[0]
    np.add(s, t, out=o[3])
    np.subtract(s, t, out=o[4])


def _b(v: list[Array], o: list[Array], s: Array, t: Array) -> None:
    """o = B v."""
    np.add(v[1], v[2], out=s)
    np.add(v[3], v[4], out=t)
    np.add(v[0], s, out=o[4])
    o[4] += t
    s *= 4
    s += t
    np.multiply(v[0], -5, out=o[2])
    o[2] -= s
    np.multiply(v[0], 4, out=o[0])
    np.subtract(v[1], v[2], out=s)
    np.subtract(v[3], v[4], out=t)
    t *= 2
    np.add(s, t, out=o[3])
    np.multiply(v[5], 5, out=o[5])
    o[3] -= o[5]
    np.subtract(v[5], s, out=o[1])
    o[1] *= 4
    o[1] -= t
    o[5][...] = v[5]


def input_tiles(
    x: Array, n: int, c0: int, c1: int, first: int, r0: int, rows: int, pad: int, V: Array,
    work: Array,
) -> None:  # fmt: skip
    """V[ij, c - first, t] = (B^T d B)[i, j]."""
    across = V.shape[2] // rows
    for a, b in _at_once(c0, c1, (rows + 1) * (across + 1)):
        z, rest = _take(work, 4, 4, b - a, rows + 1, across + 1)
        _phases(x[n, a:b], 4 * r0 - pad, -pad, z)
        p, rest = _take(rest, 4, 6, b - a, rows, across + 1)
        (s, t), _ = _take(rest, 2, b - a, rows, across + 1)
        for j in range(4):
            d = [z[i % 4, j, :, i // 4 : i // 4 + rows] for i in range(6)]
            _bt(d, [p[j, i] for i in range(6)], s, t)
        out = V.reshape(6, 6, V.shape[1], rows, across)[:, :, a - first : b - first]
        s, t = (
            e.reshape(-1)[: (b - a) * rows * across].reshape(b - a, rows, across) for e in (s, t)
        )
        for i in range(6):
            d = [p[j % 4, i, :, :, j // 4 : j // 4 + across] for j in range(6)]
            _bt(d, [out[i, j] for j in range(6)], s, t)


def input_panels(
    x: Array, n: int, c0: int, c1: int, r0: int, rows: int, across: int, pad: int, V: Array,
    work: Array,
) -> None:  # fmt: skip
    """The same for all of V."""
    input_tiles(x, n, c0, c1, 0, r0, rows, pad, V, work)


def multiply(U: Array, V: Array, M: Array) -> None:
    """M[ij] = U[ij] V[ij]."""
    np.matmul(U, V, out=M)


def output_tiles(
    M: Array, y: Array, n: int, k0: int, k1: int, r0: int, rows: int, bias: Array, slope: float,
    work: Array,
) -> None:  # fmt: skip
    """y = A^T M A + bias; negative values times slope."""
    (height, width), across = y.shape[2:], -(-y.shape[3] // 4)
    top, bottom = 4 * r0, min(4 * (r0 + rows), height)
    every = M.reshape(6, 6, k1 - k0, rows, across)
    for a, b in _at_once(k0, k1, rows * across):
        m = every[:, :, a - k0 : b - k0]
        p, rest = _take(work, 4, 6, b - a, rows, across)
        z, rest = _take(rest, b - a, rows, 4, across, 4)
        (s, t), _ = _take(rest, 2, b - a, rows, across)
        for j in range(6):
            _at([m[i, j] for i in range(6)], [p[i, j] for i in range(4)], s, t)
        for i in range(4):
            o = [z[:, :, i, :, j] for j in range(4)]
            _at([p[i, j] for j in range(6)], o, s, t)
        image = z.reshape(b - a, 4 * rows, 4 * across)[:, : bottom - top, :width]
        part = y[n, a:b, top:bottom]
        np.add(image, bias[a:b, None, None], out=part)
        _rectify(part, part, slope, work)


def _rectify(sign: Array, d: Array, slope: float, work: Array) -> None:
    """d times slope where sign is not positive."""
    if slope == 0 and sign is d:
        np.maximum(d, 0, out=d)
    elif slope != 1:
        factor, _ = _take(work, *d.shape)
        np.less_equal(sign, 0, out=factor)
        factor *= slope - 1
        factor += 1
        d *= factor


def diff_tiles(
    dy: Array, y: Array, n: int, k0: int, k1: int, first: int, r0: int, rows: int, slope: float,
    D: Array, db: Array, work: Array,
) -> None:  # fmt: skip
    """D[ij, k - first, t] = (A dy A^T)[i, j], dy times slope where y <= 0; db[k] += sum dy."""
    across = D.shape[2] // rows
    for a, b in _at_once(k0, k1, rows * across):
        z, rest = _take(work, 4, 4, b - a, rows, across)
        _phases(dy[n, a:b], 4 * r0, 0, z)
        if slope != 1:
            sign, other = _take(rest, 4, 4, b - a, rows, across)
            _phases(y[n, a:b], 4 * r0, 0, sign)
            _rectify(sign, z, slope, other)
        db[a:b] += z.sum(axis=(0, 1, 3, 4), dtype=np.float64).astype(db.dtype)
        p, rest = _take(rest, 4, 6, b - a, rows, across)
        (s, t), _ = _take(rest, 2, b - a, rows, across)
        for j in range(4):
            _a([z[i, j] for i in range(4)], [p[j, i] for i in range(6)], s, t)
        out = D.reshape(6, 6, D.shape[1], rows, across)[:, :, a - first : b - first]
        for i in range(6):
            _a([p[j, i] for j in range(4)], [out[i, j] for j in range(6)], s, t)


def data_tiles(
    V: Array, dx: Array, n: int, c0: int, c1: int, r0: int, rows: int, pad: int, carry: Array,
    fresh: bool, work: Array,
) -> None:  # fmt: skip
    """dx rows 4 r0 ... 4 (r0 + rows) - 1 (less pad) = B V B^T, summed where tiles overlap.

    carry[c]: what the rows above leave for the next two, not yet transformed along the row; read
    first (unless fresh), written last.
    """
    across = V.shape[2] // rows
    every = V.reshape(6, 6, V.shape[1], rows, across)
    for a, b in _at_once(c0, c1, (rows + 1) * (across + 1)):
        v = every[:, :, a - c0 : b - c0]
        q, rest = _take(work, 6, 6, b - a, rows, across)
        (s, t), rest = _take(rest, 2, b - a, rows, across)
        for j in range(6):
            _b([v[i, j] for i in range(6)], [q[i, j] for i in range(6)], s, t)
        q[:2, :, :, 1:] += q[4:, :, :, :-1]
        into = carry[a:b].transpose(1, 2, 0, 3)
        if not fresh:
            q[:2, :, :, 0] += into
        into[...] = q[4:, :, :, -1]
        lines, rest = _take(rest, b - a, rows, 4, across + 1, 4)
        for i in range(4):
            _columns(q[i], lines[:, :, i], s, t, rest)
        _place(lines.reshape(b - a, 4 * rows, -1), dx[n, a:b], 4 * r0, pad, False)


def _columns(q: Array, line: Array, s: Array, t: Array, work: Array) -> None:
    """line[.., t, j]: the columns 4 t + j of q[j, .., t]; neighbouring tiles overlap by two."""
    line[..., -1, :] = 0
    over, _ = _take(work, 2, *q.shape[1:])
    _b(list(q), [*(line[..., :-1, j] for j in range(4)), *over], s, t)
    line[..., 1:, 0] += over[0]
    line[..., 1:, 1] += over[1]


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
    carry: Array, dx: Array, n: int, c0: int, c1: int, r: int, pad: int, add: bool, work: Array
) -> None:
    """The two rows below tile row r - 1: written, or added to what the tiles at r have written."""
    across = carry.shape[3]
    for a, b in _at_once(c0, c1, 2 * (across + 1)):
        q = carry[a:b].transpose(2, 0, 1, 3)
        line, rest = _take(work, b - a, 2, across + 1, 4)
        (s, t), rest = _take(rest, 2, b - a, 2, across)
        _columns(q, line, s, t, rest)
        _place(line.reshape(b - a, 2, -1), dx[n, a:b], 4 * r, pad, add)


def weight_tiles(w: Array, k0: int, k1: int, c0: int, c1: int, U: Array, work: Array) -> None:
    """U[ij, k - k0, c - c0] = (G g G^T)[i, j]."""
    count = c1 - c0
    for a, b in _at_once(k0, k1, count):
        g, rest = _take(work, 3, 3, b - a, count)
        g[...] = w[a:b, c0:c1].transpose(2, 3, 0, 1)
        p, rest = _take(rest, 6, 3, b - a, count)
        (s, t), _ = _take(rest, 2, b - a, count)
        out = U.reshape(6, 6, *U.shape[1:])[:, :, a - k0 : b - k0]
        for j in range(3):
            _g([g[i, j] for i in range(3)], [p[i, j] for i in range(6)], s, t)
        for i in range(6):
            _g([p[i, j] for j in range(3)], [out[i, j] for j in range(6)], s, t)


def _g(g: list[Array], u: list[Array], s: Array, t: Array) -> None:
    """u = G g."""
    np.multiply(g[0], 0.25, out=u[0])
    u[5][...] = g[2]
    np.add(g[0], g[2], out=s)
    s *= -1 / 6
    np.multiply(g[1], -1 / 6, out=t)
    np.add(s, t, out=u[1])
    np.subtract(s, t, out=u[2])
    np.multiply(g[0], 1 / 24, out=s)
    np.multiply(g[2], 1 / 6, out=t)
    s += t
    np.multiply(g[1], 1 / 12, out=t)
    np.add(s, t, out=u[3])
    np.subtract(s, t, out=u[4])


def weight_diff(U: Array, dw: Array, k0: int, k1: int, work: Array) -> None:
    """dw[k, c] += G^T U[:, k - k0, c] G."""
    count = dw.shape[1]
    every = U.reshape(6, 6, *U.shape[1:])
    for a, b in _at_once(k0, k1, count):
        u = every[:, :, a - k0 : b - k0]
        p, rest = _take(work, 3, 6, b - a, count)
        g, rest = _take(rest, 3, 3, b - a, count)
        (s, t), _ = _take(rest, 2, b - a, count)
        for j in range(6):
            _gt([u[i, j] for i in range(6)], [p[i, j] for i in range(3)], s, t)
        for i in range(3):
            _gt([p[i, j] for j in range(6)], [g[i, j] for j in range(3)], s, t)
        dw[a:b] += g.transpose(2, 3, 0, 1)


def _gt(u: list[Array], g: list[Array], s: Array, t: Array) -> None:
    """g = G^T u."""
    np.add(u[1], u[2], out=s)
    s *= 1 / 6
    np.add(u[3], u[4], out=t)
    np.multiply(t, 1 / 6, out=g[2])
    g[2] -= s
    g[2] += u[5]
    t *= 1 / 24
    np.multiply(u[0], 0.25, out=g[0])
    g[0] -= s
    g[0] += t
    np.subtract(u[1], u[2], out=s)
    s *= -1 / 6
    np.subtract(u[3], u[4], out=t)
    t *= 1 / 12
    np.add(s, t, out=g[1])
