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


def spread(a, b, p, q):
    return a + p, b, a - b, b + q, 2 * a, (2 * b).rectified(q)


_lines, _six, _four = vectors.along(three, 3), vectors.apart(six, 6), vectors.apart(six, 4)
_rectified = vectors.apart_rectified(six)
_eight, _pixels6 = vectors.apart(six, 8, 6), vectors.together(spread, 2, 6)
_pixels = vectors.together(shifted, 2, before=True)
_over = vectors.over(three, 3, 1)
_sorted, _added = vectors.sorted_out(six, 5), vectors.added_back(three, 3)


@fast
def lines(n, source, at, step, target, to, jump):
    _lines(n, source, at, step, target, to, jump)


@fast
def apart(n, source, at, first, end, target, to, jump):
    _six(n, source, at, first, end, target, to, jump)
    _four(n, source, at, first, end, target, to + 6 * jump, jump)


@fast
def apart6(n, source, at, first, end, target, to, jump):
    _eight(n, source, at, first, end, target, to, jump)


@fast
def pixels6(n, source, at, step, p, q, target, to, first, end):
    _pixels6(n, source, at, step, p, q, target, to, first, end)


@fast
def rectified(n, source, at, by, beside, first, end, slope, target, to, jump):
    _rectified(n, source, at, by, beside, first, end, slope, target, to, jump)


@fast
def pixels(n, source, at, step, p, q, target, to, first, end):
    _pixels(n, source, at, step, p, q, target, to, first, end)


@fast
def over(n, source, at, step, keep, k, apart, target, to, jump):
    _over(n, source, at, step, keep, k, apart, target, to, jump)


@fast
def sorted_out(n, source, at, target, to, jump):
    _sorted(n, source, at, target, to, jump)


@fast
def added_back(n, source, at, step, target, to):
    _added(n, source, at, step, target, to)


def drawn(*shape):
    return np.random.default_rng(7).standard_normal(shape, f1)


@pytest.mark.parametrize("n", [1, LANES - 1, LANES, LANES + 1, 3 * LANES, 43])
def test_lines_end_where_they_should(n):
    source, target = drawn(3, n + 5), np.full((2, n + 3), EDGE)
    lines(n, source, 2, n + 5, target, 1, n + 3)
    for found, want in zip(target, three(*source[:, 2 : 2 + n]), strict=True):
        np.testing.assert_allclose(found[1 : 1 + n], want, rtol=0, atol=1e-6)
        assert found[0] == EDGE and (found[1 + n :] == EDGE).all()


PARTS = [(0, 10**6), (-3, 10**6), (1, 4 * LANES + 3), (5, 4 * LANES + 6), (7, 9), (0, 0), (9, 3)]


@pytest.mark.parametrize(("first", "end"), PARTS)
@pytest.mark.parametrize("n", [0, 1, 3])
def test_pixels_are_taken_apart(n, first, end):
    source, target = drawn(QUAD * (n * LANES + 1) + 3), np.full((10, n * LANES + 2), EDGE)
    there = np.zeros(len(source), bool)
    there[3 + max(first, 0) : 3 + max(end, 0)] = True
    source[~there] = np.nan  # must not be read
    apart(n, source, 3, first, end, target, 1, n * LANES + 2)
    source[~there] = 0
    tiles = [source[3 + k :: QUAD][: n * LANES] for k in range(6)]
    assert (target[:, [0, -1]] == EDGE).all()
    np.testing.assert_allclose(target[:6, 1:-1], six(*tiles), rtol=0, atol=1e-6)
    np.testing.assert_allclose(target[6:, 1:-1], six(*tiles[:4]), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("first", "end"), [*PARTS, (0, 6 * LANES + 1), (11, 12 * LANES + 4)])
@pytest.mark.parametrize("n", [0, 1, 3])
def test_pixels_are_taken_apart_by_six(n, first, end):
    source, target = drawn(6 * n * LANES + 5), np.full((8, n * LANES + 2), EDGE)
    there = np.zeros(len(source), bool)
    there[3 + max(first, 0) : 3 + max(end, 0)] = True
    source[~there] = np.nan  # must not be read
    apart6(n, source, 3, first, min(end, 6 * n * LANES + 2), target, 1, n * LANES + 2)
    source[~there] = 0
    tiles = [source[3 + k :: 6][: n * LANES] for k in range(8)]
    assert (target[:, [0, -1]] == EDGE).all()
    np.testing.assert_allclose(target[:, 1:-1], six(*tiles), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("first", "end"), PARTS[:4])
@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_pixels_are_rectified_by_others(slope, first, end):
    source, by = drawn(2, QUAD * 2 * LANES)
    by[::5] = 0  # not positive
    source[7] = np.nan
    target = np.full((4, 2 * LANES), EDGE)
    rectified(2, source, 0, by, 0, first, end, f1(slope), target, 0, 2 * LANES)
    right = np.where(by > 0, source, f1(slope) * source)
    right[: max(first, 0)] = right[end:] = 0
    np.testing.assert_allclose(target, six(*(right[k::QUAD] for k in range(4))), atol=1e-6, rtol=0)
    assert np.isnan(target).sum() == 2


@pytest.mark.parametrize(("first", "end"), PARTS)
@pytest.mark.parametrize("n", [1, 2])
def test_pixels_are_put_together(n, first, end):
    source, target = drawn(2, n * LANES + 1), np.full(QUAD * n * LANES + 2, EDGE)
    pixels(n, source, 1, n * LANES + 1, f1(3), f1(0.25), target, 1, first, end)
    (a, b), (e, f) = source[:, 1:], source[:, :-1]
    want = [a + 3, b - e, f + f1(0.25), np.where(a > 0, 2 * a, a / 2)]
    want = np.stack(want, 1).reshape(-1)
    want[: max(first, 0)] = want[end:] = EDGE
    np.testing.assert_allclose(target[1:-1], want, rtol=0, atol=1e-6)
    assert target[0] == EDGE == target[-1]


@pytest.mark.parametrize(("first", "end"), [*PARTS, (0, 6 * LANES - 1), (11, 12 * LANES - 4)])
@pytest.mark.parametrize("n", [1, 2])
def test_pixels_are_put_together_by_six(n, first, end):
    source, target = drawn(2, n * LANES), np.full(6 * n * LANES + 2, EDGE)
    pixels6(n, source, 0, n * LANES, f1(3), f1(0.25), target, 1, first, end)
    a, b = source
    want = [a + 3, b, a - b, b + f1(0.25), 2 * a, np.where(b > 0, 2 * b, b / 2)]
    want = np.stack(want, 1).reshape(-1)
    want[: max(first, 0)] = want[end:] = EDGE
    np.testing.assert_allclose(target[1:-1], want, rtol=0, atol=1e-6)
    assert target[0] == EDGE == target[-1]


@pytest.mark.parametrize("n", [0, 1, 3])
def test_the_last_results_go_over_to_the_next_pass(n):
    across = n * LANES
    source, kept = drawn(2, 3, across), drawn(1, across + 2)[0]
    before, target = kept.copy(), np.full((2, 2, across + 1), EDGE)
    for k in range(2):
        over(
            n, source, 3 * k * across, across, kept, 1, 0, target, 2 * k * (across + 1), across + 1
        )
    first, second = (three(*lines) for lines in source)
    np.testing.assert_allclose(target[0, 0, :-1], first[0] + before[1:-1], atol=1e-6)
    np.testing.assert_allclose(target[1, 0, :-1], second[0] + first[1], atol=1e-6)
    np.testing.assert_allclose(kept[1:-1], second[1], atol=1e-6)
    assert (target[:, 1] == EDGE).all() and (target[..., -1] == EDGE).all()
    assert (kept[[0, -1]] == before[[0, -1]]).all()


@pytest.mark.parametrize("n", [1, LANES - 1, LANES, 2 * LANES + 3])
def test_numbers_are_sorted_out_and_added_back(n):
    source, target = drawn(5 * n + 2), np.full((5, n + 2), EDGE)
    sorted_out(n, source, 2, target, 1, n + 2)
    np.testing.assert_allclose(target[:, 1:-1], six(*source[2:].reshape(n, 5).T), atol=1e-6)
    assert (target[:, [0, -1]] == EDGE).all()

    lines, sums = drawn(3, n), drawn(2 * n + 2)
    want = sums.copy()
    want[1:-1] += np.stack(three(*lines), 1).reshape(-1)
    added_back(n, lines, 0, n, sums, 1)
    np.testing.assert_allclose(sums, want, atol=1e-6)
