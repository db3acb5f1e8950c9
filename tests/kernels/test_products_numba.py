"""The compiled batches of matrix products, against NumPy's."""

import numpy as np
import pytest

products = pytest.importorskip("demitasse.kernels.products_numba")

SIZES = [(1, 1, 8), (4, 3, 24), (6, 300, 56), (13, 257, 32), (5, 16, 80)]


def panels(v):
    """(n, depth, across) as panels of WIDTH, 0 behind the end."""
    count = -(-v.shape[2] // products.WIDTH)
    padded = np.zeros((*v.shape[:2], count * products.WIDTH), np.float32)
    padded[..., : v.shape[2]] = v
    return np.ascontiguousarray(
        padded.reshape(*v.shape[:2], count, products.WIDTH).transpose(0, 2, 1, 3)
    )


def draw(rows, depth, across):
    rng = np.random.default_rng(rows)
    across = -(-across // products.LANES) * products.LANES
    a, b = rng.standard_normal((2, rows, depth)), rng.standard_normal((2, depth, across))
    return a.astype(np.float32), b.astype(np.float32)


@pytest.mark.parametrize(("rows", "depth", "across"), SIZES)
def test_products_are_those_of_double_precision(rows, depth, across):
    a, b = draw(rows, depth, across)
    expected = a.astype(np.float64) @ b.astype(np.float64)
    c = np.full(expected.shape, np.nan, np.float32)
    products.multiply(a, panels(b), c, False)
    np.testing.assert_allclose(c, expected, rtol=0, atol=1e-6 * depth)


@pytest.mark.parametrize(("rows", "depth", "across"), SIZES)
def test_a_product_of_some_terms_is_added(rows, depth, across):
    a, b = draw(rows, depth, across)
    before = np.random.default_rng(1).standard_normal((2, rows, b.shape[2]), np.float32)
    part, c = slice(depth // 3, depth), before.copy()
    expected = before + a[..., part].astype(np.float64) @ b[:, part].astype(np.float64)
    products.multiply(np.ascontiguousarray(a[..., part]), panels(b)[:, :, part], c, True)
    np.testing.assert_allclose(c, expected, rtol=0, atol=1e-6 * depth)


@pytest.mark.parametrize(("rows", "depth", "across"), [*SIZES, (21, 700, 16), (9, 300, 40)])
def test_a_factor_that_is_read_once_gives_the_same_bits(rows, depth, across):
    a, b = draw(rows, depth, across)
    plain, once = (np.full((2, rows, b.shape[2]), np.nan, np.float32) for _ in range(2))
    products.multiply(a, panels(b), plain, False)
    products.multiply_once(a, panels(b), once)
    assert np.array_equal(plain, once)


@pytest.mark.parametrize(("rows", "depth", "across"), SIZES)
def test_a_transposed_factor_gives_the_same_bits(rows, depth, across):
    a, b = draw(rows, depth, across)
    plain, turned = (np.full((2, rows, b.shape[2]), np.nan, np.float32) for _ in range(2))
    products.multiply(a, panels(b), plain, False)
    products.multiply_transposed(np.ascontiguousarray(a.swapaxes(1, 2)), panels(b), turned, False)
    assert np.array_equal(plain, turned)


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize(
    ("rows", "columns", "cells", "first"),
    [(1, 1, 8, 0), (4, 3, 24, 0), (13, 257, 32, 48), (5, 16, 80, 0), (64, 66, 500, 48)],
)
def test_inner_products_of_some_columns(rows, columns, cells, first, add):
    rng = np.random.default_rng(rows)
    a, b = (rng.standard_normal((2, n, cells), np.float32) for n in (rows, columns))
    end = min(columns, first + 60)
    across = -(-(end - first) // products.LANES) * products.LANES
    before = rng.standard_normal((2, rows + 1, across), np.float32)
    spare = np.full(products.DEPTH * products.WIDTH, np.nan, np.float32)

    def product():
        c = before.copy()
        left, right = panels(a), panels(b)
        for factor in (left, right):  # what lies behind the last cell is nobody's
            factor[:, -1, :, (cells - 1) % products.WIDTH + 1 :] = 7
        products.multiply_inner(left, right, first, end, c[:, :rows], cells, add, spare)
        assert np.array_equal(c[:, rows], before[:, rows])
        return c[:, :rows, : end - first]

    expected = a.astype(np.float64) @ b[:, first:end].astype(np.float64).swapaxes(1, 2)
    expected += add * before[:, :rows, : end - first]
    np.testing.assert_allclose(product(), expected, rtol=0, atol=1e-6 * cells)
    b[1, end - 1, cells - 1] = np.nan
    found = product()
    assert np.isnan(found[1, :, -1]).all() and np.isnan(found).sum() == rows


def test_nan_and_infinity_go_through():
    a, b = draw(4, 3, 24)
    b[0, 1, 5], b[1, 2, 7] = np.nan, np.inf
    c = np.zeros((2, 4, b.shape[2]), np.float32)
    products.multiply(a, panels(b), c, False)
    assert np.isnan(c[0, :, 5]).all() and not np.isnan(c[0, :, 6]).any()
    assert np.isinf(c[1, :, 7]).all()
