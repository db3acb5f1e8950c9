"""Formulas over vectors of compiled kernels, against the same formulas of NumPy."""

import numpy as np
import pytest

vectors = pytest.importorskip("demitasse.kernels.vectors_numba")
from demitasse.kernels.compiler_numba import compiler  # noqa: E402

fast = compiler()
f1 = np.float32
LANES, QUAD = vectors.LANES, vectors.QUAD
EDGE = f1(-77)  # what nobody may write over


def three(a, b, c):
    return a + 2 * b, b - 0.5 * c


def six(*pixels):
    return tuple(a - 3 * b for a, b in zip(pixels, pixels[1:] + pixels[:1], strict=True))


def shifted(a, b, a_before, b_before, p, q):
    return a + p, b - a_before, b_before + q, (2 * a).rectified(q)


_lines, _six, _four = vectors.along(three, 3), vectors.apart(six, 6), vectors.apart(six, 4)
_rectified = vectors.apart_rectified(six)
_pixels = vectors.together(shifted, 2, before=True)


@fast
def lines(n, source, at, step, target, to, jump):
    _lines(n, source, at, step, target, to, jump)


@fast
def apart(n, source, at, target, to, jump):
    _six(n, source, at, target, to, jump)
    _four(n, source, at, target, to + 6 * jump, jump)


@fast
def rectified(n, source, at, by, beside, slope, target, to, jump):
    _rectified(n, source, at, by, beside, slope, target, to, jump)


@fast
def pixels(n, source, at, step, p, q, target, to):
    _pixels(n, source, at, step, p, q, target, to)


def drawn(*shape):
    return np.random.default_rng(7).standard_normal(shape, f1)


@pytest.mark.parametrize("n", [1, LANES - 1, LANES, LANES + 1, 3 * LANES, 43])
def test_lines_end_where_they_should(n):
    source, target = drawn(3, n + 5), np.full((2, n + 3), EDGE)
    lines(n, source, 2, n + 5, target, 1, n + 3)
    for found, want in zip(target, three(*source[:, 2 : 2 + n]), strict=True):
        np.testing.assert_allclose(found[1 : 1 + n], want, rtol=0, atol=1e-6)
        assert found[0] == EDGE and (found[1 + n :] == EDGE).all()


@pytest.mark.parametrize("n", [0, 1, 3])
def test_pixels_are_taken_apart(n):
    source, target = drawn(QUAD * (n * LANES + 1) + 3), np.full((10, n * LANES + 2), EDGE)
    apart(n, source, 3, target, 1, n * LANES + 2)
    tiles = [source[3 + k :: QUAD][: n * LANES] for k in range(6)]
    assert (target[:, [0, -1]] == EDGE).all()
    np.testing.assert_allclose(target[:6, 1:-1], six(*tiles), rtol=0, atol=1e-6)
    np.testing.assert_allclose(target[6:, 1:-1], six(*tiles[:4]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_pixels_are_rectified_by_others(slope):
    source, by = drawn(2, QUAD * 2 * LANES)
    by[::5] = 0  # not positive
    source[7] = np.nan
    target = np.full((4, 2 * LANES), EDGE)
    rectified(2, source, 0, by, 0, f1(slope), target, 0, 2 * LANES)
    right = np.where(by > 0, source, f1(slope) * source)
    np.testing.assert_allclose(target, six(*(right[k::QUAD] for k in range(4))), atol=1e-6, rtol=0)
    assert np.isnan(target).sum() == 2


@pytest.mark.parametrize("n", [1, 2])
def test_pixels_are_put_together(n):
    source, target = drawn(2, n * LANES + 1), np.full(QUAD * n * LANES + 2, EDGE)
    pixels(n, source, 1, n * LANES + 1, f1(3), f1(0.25), target, 1)
    (a, b), (e, f) = source[:, 1:], source[:, :-1]
    want = [a + 3, b - e, f + f1(0.25), np.where(a > 0, 2 * a, a / 2)]
    np.testing.assert_allclose(target[1:-1], np.stack(want, 1).reshape(-1), rtol=0, atol=1e-6)
    assert target[0] == EDGE == target[-1]
