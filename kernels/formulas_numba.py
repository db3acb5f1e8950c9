"""The one-dimensional transforms of Winograd's algorithm, as formulas over vectors of tiles.

    input_   B^T d    6 pixels -> 6        weight        G g      3 weights -> 6
    output   A^T m    6 -> 4 pixels        weight_diff   G^T u    6 -> 3 weights
    diff     A z      4 pixels -> 6        data          B v      6 -> 4 pixels, 2 of the next tile

These are F(4x4, 3x3)'s; input6, output6 and weight6 are F(6x6, 3x3)'s, with 8 in the place of 6 and
6 pixels in the place of 4, for the points 0, 1, -1, 2, -2, 1/2, -1/2 and infinity.  `*_rows` takes
the pixels of a row apart or puts them together, `*_columns` goes along lines of tiles
(kernels/vectors_numba.py).

Source: A. Lavin, S. Gray, Fast Algorithms for Convolutional Neural Networks (arXiv:1509.09308).
"""

from __future__ import annotations

from .vectors_numba import added_back, along, apart, apart_rectified, over, sorted_out, together
from .writer_numba import Value

Values = tuple[Value, ...]


def input_(d0: Value, d1: Value, d2: Value, d3: Value, d4: Value, d5: Value) -> Values:
    """B^T d."""
    a, b, e, g = d4 - 4 * d2, d3 - 4 * d1, d4 - d2, 2 * (d3 - d1)
    return 4 * d0 - 5 * d2 + d4, a + b, a - b, e + g, e - g, 4 * d1 - 5 * d3 + d5


def output(m0: Value, m1: Value, m2: Value, m3: Value, m4: Value, m5: Value) -> Values:
    """A^T m."""
    s, e, u, v = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return m0 + s + u, e + 2 * v, s + 4 * u, e + 8 * v + m5


def output_pixels(
    m0: Value, m1: Value, m2: Value, m3: Value, m4: Value, m5: Value, bias: Value, slope: Value
) -> Values:
    """A^T m + bias, negative values times slope."""
    y = output(m0, m1 + bias, m2, m3, m4, m5)  # what m1 has, all four have
    return tuple(v.rectified(slope) for v in y)


def diff(z0: Value, z1: Value, z2: Value, z3: Value) -> Values:
    """A z."""
    even, odd, wide, far = z0 + z2, z1 + z3, z0 + 4 * z2, 2 * z1 + 8 * z3
    return z0, even + odd, even - odd, wide + far, wide - far, z3


def data(v0: Value, v1: Value, v2: Value, v3: Value, v4: Value, v5: Value) -> Values:
    """B v."""
    a, b, s, u = v1 - v2, v3 - v4, v1 + v2, v3 + v4
    inner = 4 * (v5 - a) - 2 * b, -5 * v0 - 4 * s - u, a + 2 * b - 5 * v5
    return 4 * v0, *inner, v0 + s + u, v5


def data_pixels(*lines: Value) -> Values:
    """B v, and what the tile before has for the first two pixels."""
    here, before = data(*lines[:6]), data(*lines[6:12])
    return here[0] + before[4], here[1] + before[5], here[2], here[3]


def weight(g0: Value, g1: Value, g2: Value) -> Values:
    """G g."""
    a, b = -1 / 6 * (g0 + g2), -1 / 6 * g1
    e, f = 1 / 24 * g0 + 1 / 6 * g2, 1 / 12 * g1
    return 0.25 * g0, a + b, a - b, e + f, e - f, g2


def input6(
    d0: Value, d1: Value, d2: Value, d3: Value, d4: Value, d5: Value, d6: Value, d7: Value
) -> Values:
    """B^T d."""
    a, b = d2 + d6 - 4.25 * d4, d1 + d5 - 4.25 * d3
    e, f = 0.25 * d2 - 1.25 * d4 + d6, 0.5 * d1 - 2.5 * d3 + 2 * d5
    g, h = 4 * d2 - 5 * d4 + d6, 2 * d1 - 2.5 * d3 + 0.5 * d5
    first, last = d0 - d6 + 5.25 * (d4 - d2), d7 - d1 + 5.25 * (d3 - d5)
    return first, a + b, a - b, e + f, e - f, g + h, g - h, last


def output6(
    m0: Value, m1: Value, m2: Value, m3: Value, m4: Value, m5: Value, m6: Value, m7: Value
) -> Values:
    """A^T m."""
    s, e, u, v, p, q = m1 + m2, m1 - m2, m3 + m4, m3 - m4, m5 + m6, m5 - m6
    y0, y1, y2 = m0 + s + u + p, e + 2 * v + 1 / 2 * q, s + 4 * u + 1 / 4 * p
    return y0, y1, y2, e + 8 * v + 1 / 8 * q, s + 16 * u + 1 / 16 * p, e + 32 * v + 1 / 32 * q + m7


def output6_pixels(m0: Value, m1: Value, *more: Value) -> Values:
    """A^T m + bias, negative values times slope."""
    bias, slope = more[6:]
    return tuple(v.rectified(slope) for v in output6(m0, m1 + bias, *more[:6]))


def weight6(g0: Value, g1: Value, g2: Value) -> Values:
    """G g."""
    a, b = -2 / 9 * (g0 + g2), -2 / 9 * g1
    e, f = 1 / 90 * g0 + 2 / 45 * g2, 1 / 45 * g1
    h, i = 32 / 45 * g0 + 8 / 45 * g2, 16 / 45 * g1
    return g0, a + b, a - b, e + f, e - f, h + i, h - i, g2


def weight_diff(u0: Value, u1: Value, u2: Value, u3: Value, u4: Value, u5: Value) -> Values:
    """G^T u."""
    a, b, e, f = u1 + u2, u1 - u2, u3 + u4, u3 - u4
    first = 0.25 * u0 - 1 / 6 * a + 1 / 24 * e
    return first, -1 / 6 * b + 1 / 12 * f, -1 / 6 * a + 1 / 6 * e + u5


def weight_tile(*g: Value) -> Values:
    """G g G^T, from 3x3 to 6x6 row by row."""
    columns = [weight(*g[j::3]) for j in range(3)]
    return tuple(u for row in zip(*columns, strict=True) for u in weight(*row))


def weight6_tile(*g: Value) -> Values:
    """G g G^T, from 3x3 to 8x8 row by row."""
    columns = [weight6(*g[j::3]) for j in range(3)]
    return tuple(u for row in zip(*columns, strict=True) for u in weight6(*row))


def weight_diff_tile(*u: Value) -> Values:
    """G^T u G, from 6x6 to 3x3."""
    columns = [weight_diff(*u[j::6]) for j in range(6)]
    return tuple(g for row in zip(*columns, strict=True) for g in weight_diff(*row))


input_columns, input_rows = along(input_, 6), apart(input_, 6)
output_columns, output_rows = along(output, 6), together(output_pixels, 6)
diff_columns, diff_rows = along(diff, 4), apart(diff, 4)
diff_rows_rectified = apart_rectified(diff)
input6_columns, input6_rows = along(input6, 8), apart(input6, 8, 6)
output6_columns, output6_rows = along(output6, 8), together(output6_pixels, 8, 6)
data_columns, data_rows = over(data, 6, 2), together(data_pixels, 6, before=True)
sort_weights = sorted_out(weight_tile, 9)
weight_diffs = added_back(weight_diff_tile, 36)
sort6_weights = sorted_out(weight6_tile, 9)
again, again6 = along(lambda *lines: lines, 6), along(lambda *lines: lines, 8)  # copies
