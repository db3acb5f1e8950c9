"""The transforms of Winograd's F(4x4, 3x3), compiled by Numba: see kernels/winograd.py.

A transform goes row by row: a row of the image is cut into its four phases (columns 4t, 4t + 1,
...), so that everything after it runs over neighbouring tiles in order, in strips that stay in the
first-level cache.  Same functions, same arguments as kernels/tiles_numpy.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler_numba import compiler
from .products_numba import LANES, WIDTH, scatter
from .products_numba import multiply as multiply

Array = Any

NAME = "Numba"
f1 = np.float32
# no promise that there are no NaNs: a loss must become NaN where it does in Caffe
fast = compiler(fastmath={"contract", "reassoc", "nsz"})


def work_size(channels: int, rows: int, across: int) -> int:
    """Elements of scratch that any transform needs."""
    return max(36 * panels_shape(1, rows * across)[1] * WIDTH + 42 * across + 4, 27 * channels)


def panels_shape(channels: int, cells: int) -> tuple[int, int, int, int]:
    """V in panels (kernels/products_numba.py)."""
    return 36, -(-cells // WIDTH), channels, WIDTH


def whole(cells: int) -> int:
    """How long a row of M is: whole vectors."""
    return -(-cells // LANES) * LANES


@fast
def _phases(x: Array, n: int, c: int, h: int, left: int, z: Array) -> None:
    """z[k, t] = x[n, c, h, left + 4 t + k], 0 outside."""
    count, width = z.shape[1], x.shape[3]
    row = x[n, c, h]
    z0, z1, z2, z3 = z[0], z[1], z[2], z[3]
    first = 0
    if left < 0:
        first = min(count, (3 - left) // 4)
    full = max(first, min(count, (width - left) // 4))
    for t in range(first, full):
        w = left + 4 * t
        z0[t], z1[t], z2[t], z3[t] = row[w], row[w + 1], row[w + 2], row[w + 3]
    for part in range(2):
        for t in range(0 if part == 0 else full, first if part == 0 else count):
            for k in range(4):
                w = left + 4 * t + k
                z[k, t] = row[w] if 0 <= w < width else f1(0)


@fast
def _input_row(x: Array, n: int, c: int, h: int, left: int, p: Array, z: Array) -> None:
    """p[j, t] = (d B)[j] of the row h of tile t."""
    across = p.shape[1]
    p0, p1, p2, p3, p4, p5 = p[0], p[1], p[2], p[3], p[4], p[5]
    if h < 0 or h >= x.shape[2]:
        p[:] = f1(0)
        return
    _phases(x, n, c, h, left, z)
    z0, z1, z2, z3 = z[0], z[1], z[2], z[3]
    for t in range(across):
        d0, d1, d2, d3, d4, d5 = z0[t], z1[t], z2[t], z3[t], z0[t + 1], z1[t + 1]
        a, b, e, g = d4 - f1(4) * d2, d3 - f1(4) * d1, d4 - d2, f1(2) * (d3 - d1)
        p0[t] = f1(4) * d0 - f1(5) * d2 + d4
        p1[t], p2[t], p3[t], p4[t] = a + b, a - b, e + g, e - g
        p5[t] = f1(4) * d1 - f1(5) * d3 + d5


@fast
def _input_lines(
    x: Array, n: int, c: int, r0: int, rows: int, across: int, pad: int, lines: Array, work: Array
) -> None:
    """lines[ij, a across + t] = (B^T d B)[i, j] of channel c."""
    ring = work[: 36 * across].reshape(6, 6, across)
    z = work[36 * across : 36 * across + 4 * (across + 1)].reshape(4, across + 1)
    for a in range(rows):
        for i in range(0 if a == 0 else 2, 6):  # two rows are those of the tiles above
            _input_row(x, n, c, 4 * (r0 + a) + i - pad, -pad, ring[(4 * a + i) % 6], z)
        k = 4 * a
        s0, s1, s2 = ring[k % 6], ring[(k + 1) % 6], ring[(k + 2) % 6]
        s3, s4, s5 = ring[(k + 3) % 6], ring[(k + 4) % 6], ring[(k + 5) % 6]
        q = slice(a * across, (a + 1) * across)
        for j in range(6):
            q0, q1, q2, q3, q4, q5 = s0[j], s1[j], s2[j], s3[j], s4[j], s5[j]
            v0, v1, v2 = lines[j, q], lines[6 + j, q], lines[12 + j, q]
            v3, v4, v5 = lines[18 + j, q], lines[24 + j, q], lines[30 + j, q]
            for t in range(across):
                d0, d1, d2, d3, d4, d5 = q0[t], q1[t], q2[t], q3[t], q4[t], q5[t]
                a_, b_, e_, g_ = d4 - f1(4) * d2, d3 - f1(4) * d1, d4 - d2, f1(2) * (d3 - d1)
                v0[t] = f1(4) * d0 - f1(5) * d2 + d4
                v1[t], v2[t], v3[t], v4[t] = a_ + b_, a_ - b_, e_ + g_, e_ - g_
                v5[t] = f1(4) * d1 - f1(5) * d3 + d5


@fast
def input_tiles(
    x: Array, n: int, c0: int, c1: int, first: int, r0: int, rows: int, pad: int, V: Array,
    work: Array,
) -> None:  # fmt: skip
    """V[ij, c - first, t] = (B^T d B)[i, j]."""
    across = V.shape[2] // rows
    for c in range(c0, c1):
        _input_lines(x, n, c, r0, rows, across, pad, V[:, c - first], work)


@fast
def input_panels(
    x: Array, n: int, c0: int, c1: int, r0: int, rows: int, across: int, pad: int, V: Array,
    work: Array,
) -> None:  # fmt: skip
    """The same in panels: V[ij, p, c, t] is tile WIDTH p + t."""
    lines = work[: 36 * V.shape[1] * WIDTH].reshape(36, V.shape[1] * WIDTH)
    rest = work[lines.size :]
    for c in range(c0, c1):
        _input_lines(x, n, c, r0, rows, across, pad, lines, rest)
        scatter(lines, V, c)


@fast
def output_tiles(
    M: Array, y: Array, n: int, k0: int, k1: int, r0: int, rows: int, bias: Array, slope: float,
    work: Array,
) -> None:  # fmt: skip
    """y = A^T M A + bias; negative values times slope."""
    (height, width), across = y.shape[2:], -(-y.shape[3] // 4)
    o = work[: 24 * across].reshape(4, 6, across)
    full, s_ = width // 4, f1(slope)
    for k in range(k0, k1):
        b = bias[k]
        for a in range(rows):
            q = slice(a * across, (a + 1) * across)
            for j in range(6):
                m0_, m1_, m2_ = M[j, k - k0, q], M[6 + j, k - k0, q], M[12 + j, k - k0, q]
                m3_, m4_, m5_ = M[18 + j, k - k0, q], M[24 + j, k - k0, q], M[30 + j, k - k0, q]
                o0, o1, o2, o3 = o[0, j], o[1, j], o[2, j], o[3, j]
                for t in range(across):
                    s, e = m1_[t] + m2_[t], m1_[t] - m2_[t]
                    u, v = m3_[t] + m4_[t], m3_[t] - m4_[t]
                    o0[t], o1[t] = m0_[t] + s + u, e + f1(2) * v
                    o2[t], o3[t] = s + f1(4) * u, e + f1(8) * v + m5_[t]
            for i in range(min(4, height - 4 * (r0 + a))):
                row = y[n, k, 4 * (r0 + a) + i]
                q0, q1, q2, q3, q4, q5 = o[i, 0], o[i, 1], o[i, 2], o[i, 3], o[i, 4], o[i, 5]
                for t in range(full):
                    s, e = q1[t] + q2[t] + b, q1[t] - q2[t] + b
                    u, v = q3[t] + q4[t], q3[t] - q4[t]
                    y0, y1 = q0[t] + s + u, e + f1(2) * v
                    y2, y3 = s + f1(4) * u, e + f1(8) * v + q5[t]
                    row[4 * t] = y0 if y0 > 0 else y0 * s_
                    row[4 * t + 1] = y1 if y1 > 0 else y1 * s_
                    row[4 * t + 2] = y2 if y2 > 0 else y2 * s_
                    row[4 * t + 3] = y3 if y3 > 0 else y3 * s_
                if full < across:
                    t = full
                    s, e = q1[t] + q2[t] + b, q1[t] - q2[t] + b
                    u, v = q3[t] + q4[t], q3[t] - q4[t]
                    last = (q0[t] + s + u, e + f1(2) * v, s + f1(4) * u)
                    for w in range(width - 4 * full):
                        row[4 * t + w] = last[w] if last[w] > 0 else last[w] * s_


@fast
def diff_tiles(
    dy: Array, y: Array, n: int, k0: int, k1: int, first: int, r0: int, rows: int, slope: float,
    D: Array, db: Array, work: Array,
) -> None:  # fmt: skip
    """D[ij, k - first, t] = (A dy A^T)[i, j], dy times slope where y <= 0; db[k] += sum dy."""
    across, height = D.shape[2] // rows, dy.shape[2]
    p = work[: 24 * across].reshape(4, 6, across)
    z = work[24 * across : 28 * across].reshape(4, across)
    s = work[28 * across : 32 * across].reshape(4, across)
    slope_ = f1(slope)
    for k in range(k0, k1):
        total: Any = 0.0  # in double precision
        for a in range(rows):
            for i in range(4):
                h = 4 * (r0 + a) + i
                if h >= height:
                    p[i] = f1(0)
                    continue
                _phases(dy, n, k, h, 0, z)
                if slope_ != f1(1):
                    _phases(y, n, k, h, 0, s)
                    for c in range(4):
                        zc, sc = z[c], s[c]
                        for t in range(across):
                            zc[t] = zc[t] if sc[t] > 0 else zc[t] * slope_
                z0, z1, z2, z3 = z[0], z[1], z[2], z[3]
                p0, p1, p2, p3, p4, p5 = p[i, 0], p[i, 1], p[i, 2], p[i, 3], p[i, 4], p[i, 5]
                part = f1(0)
                for t in range(across):
                    even, odd = z0[t] + z2[t], z1[t] + z3[t]
                    wide, far = z0[t] + f1(4) * z2[t], f1(2) * z1[t] + f1(8) * z3[t]
                    p0[t], p1[t], p2[t] = z0[t], even + odd, even - odd
                    p3[t], p4[t], p5[t] = wide + far, wide - far, z3[t]
                    part += even + odd
                total += part
            q, o = slice(a * across, (a + 1) * across), k - first
            for j in range(6):
                q0, q1, q2, q3 = p[0, j], p[1, j], p[2, j], p[3, j]
                v0, v1, v2 = D[j, o, q], D[6 + j, o, q], D[12 + j, o, q]
                v3, v4, v5 = D[18 + j, o, q], D[24 + j, o, q], D[30 + j, o, q]
                for t in range(across):
                    even, odd = q0[t] + q2[t], q1[t] + q3[t]
                    wide, far = q0[t] + f1(4) * q2[t], f1(2) * q1[t] + f1(8) * q3[t]
                    v0[t], v1[t], v2[t] = q0[t], even + odd, even - odd
                    v3[t], v4[t], v5[t] = wide + far, wide - far, q3[t]
        db[k] += f1(total)


@fast
def _data_row(q: Array, dx: Array, n: int, c: int, h: int, pad: int, add: bool, z: Array) -> None:
    """One row of dx from q[j, t], the six values of each tile; neighbouring tiles overlap by 2."""
    across, width = q.shape[1], dx.shape[3]
    q0, q1, q2, q3, q4, q5 = q[0], q[1], q[2], q[3], q[4], q[5]
    line = z[: 4 * across + 2]
    over = z[4 * across + 2 : 6 * across + 4].reshape(2, across + 1)
    e4, e5 = over[0], over[1]
    e4[0] = e5[0] = f1(0)
    for t in range(across):
        a, b, s, u = q1[t] - q2[t], q3[t] - q4[t], q1[t] + q2[t], q3[t] + q4[t]
        e4[t + 1], e5[t + 1] = q0[t] + s + u, q5[t]
        line[4 * t] = f1(4) * q0[t]
        line[4 * t + 1] = f1(4) * (q5[t] - a) - f1(2) * b
        line[4 * t + 2] = f1(-5) * q0[t] - f1(4) * s - u
        line[4 * t + 3] = a + f1(2) * b - f1(5) * q5[t]
    for t in range(across):
        line[4 * t] += e4[t]
        line[4 * t + 1] += e5[t]
    line[4 * across], line[4 * across + 1] = e4[across], e5[across]
    row = dx[n, c, h]
    if add:
        for w in range(width):
            row[w] += line[w + pad]
    else:
        for w in range(width):
            row[w] = line[w + pad]


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
    p = work[: 36 * across].reshape(6, 6, across)
    z = work[36 * across :]
    for c in range(c0, c1):
        for a in range(rows):
            q, o = slice(a * across, (a + 1) * across), c - c0
            begin = fresh and a == 0
            for j in range(6):
                v0_, v1_, v2_ = V[j, o, q], V[6 + j, o, q], V[12 + j, o, q]
                v3_, v4_, v5_ = V[18 + j, o, q], V[24 + j, o, q], V[30 + j, o, q]
                p0, p1, p2, p3, p4, p5 = p[0, j], p[1, j], p[2, j], p[3, j], p[4, j], p[5, j]
                for t in range(across):
                    v0, v5 = v0_[t], v5_[t]
                    e, b = v1_[t] - v2_[t], v3_[t] - v4_[t]
                    s, u = v1_[t] + v2_[t], v3_[t] + v4_[t]
                    p0[t] = f1(4) * v0
                    p1[t] = f1(4) * (v5 - e) - f1(2) * b
                    p2[t] = f1(-5) * v0 - f1(4) * s - u
                    p3[t] = e + f1(2) * b - f1(5) * v5
                    p4[t], p5[t] = v0 + s + u, v5
                for i in range(2):
                    into, over = p[i, j], carry[c, i, j]
                    if not begin:
                        for t in range(across):
                            into[t] += over[t]
                    over[:] = p[4 + i, j]
            for i in range(4):
                h = 4 * (r0 + a) + i - pad
                if 0 <= h < height:
                    _data_row(p[i], dx, n, c, h, pad, False, z)


@fast
def last_rows(
    carry: Array, dx: Array, n: int, c0: int, c1: int, r: int, pad: int, add: bool, work: Array
) -> None:
    """The two rows below tile row r - 1: written, or added to what the tiles at r have written."""
    for c in range(c0, c1):
        for i in range(2):
            h = 4 * r + i - pad
            if 0 <= h < dx.shape[2]:
                _data_row(carry[c, i], dx, n, c, h, pad, add, work)


@fast
def weight_tiles(w: Array, k0: int, k1: int, c0: int, c1: int, U: Array, work: Array) -> None:
    """U[ij, k - k0, c - c0] = (G g G^T)[i, j]."""
    count = c1 - c0
    z = work[: 9 * count].reshape(3, 3, count)
    p = work[9 * count : 27 * count].reshape(6, 3, count)
    for k in range(k0, k1):
        for c in range(count):
            for i in range(3):
                for j in range(3):
                    z[i, j, c] = w[k, c0 + c, i, j]
        for j in range(3):
            _spread(z[0, j], z[1, j], z[2, j], p[0, j], p[1, j], p[2, j], p[3, j], p[4, j], p[5, j])
        o = k - k0
        for i in range(6):
            _spread(
                p[i, 0], p[i, 1], p[i, 2], U[6 * i, o], U[6 * i + 1, o], U[6 * i + 2, o],
                U[6 * i + 3, o], U[6 * i + 4, o], U[6 * i + 5, o],
            )  # fmt: skip


@fast
def _spread(
    g0: Array, g1: Array, g2: Array, u0: Array, u1: Array, u2: Array, u3: Array, u4: Array,
    u5: Array,
) -> None:  # fmt: skip
    """u = G g."""
    for t in range(g0.size):
        a, b = f1(-1 / 6) * (g0[t] + g2[t]), f1(-1 / 6) * g1[t]
        e, f = f1(1 / 24) * g0[t] + f1(1 / 6) * g2[t], f1(1 / 12) * g1[t]
        u0[t], u1[t], u2[t] = f1(0.25) * g0[t], a + b, a - b
        u3[t], u4[t], u5[t] = e + f, e - f, g2[t]


@fast
def weight_diff(U: Array, dw: Array, k0: int, k1: int, work: Array) -> None:
    """dw[k, c] += G^T U[:, k - k0, c] G."""
    count = dw.shape[1]
    p = work[: 18 * count].reshape(3, 6, count)
    z = work[18 * count : 27 * count].reshape(3, 3, count)
    for k in range(k0, k1):
        o = k - k0
        for j in range(6):
            _gather(
                U[j, o], U[6 + j, o], U[12 + j, o], U[18 + j, o], U[24 + j, o], U[30 + j, o],
                p[0, j], p[1, j], p[2, j],
            )  # fmt: skip
        for i in range(3):
            _gather(p[i, 0], p[i, 1], p[i, 2], p[i, 3], p[i, 4], p[i, 5], z[i, 0], z[i, 1], z[i, 2])
        for c in range(count):
            for i in range(3):
                for j in range(3):
                    dw[k, c, i, j] += z[i, j, c]


@fast
def _gather(
    u0: Array, u1: Array, u2: Array, u3: Array, u4: Array, u5: Array, g0: Array, g1: Array,
    g2: Array,
) -> None:  # fmt: skip
    """g = G^T u."""
    for t in range(u0.size):
        a, b = u1[t] + u2[t], u1[t] - u2[t]
        e, f = u3[t] + u4[t], u3[t] - u4[t]
        g0[t] = f1(0.25) * u0[t] - f1(1 / 6) * a + f1(1 / 24) * e
        g1[t] = f1(-1 / 6) * b + f1(1 / 12) * f
        g2[t] = f1(-1 / 6) * a + f1(1 / 6) * e + u5[t]
