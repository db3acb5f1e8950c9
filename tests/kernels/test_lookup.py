from __future__ import annotations

import numpy as np
import pytest
from demitasse.kernels import lookup

RANGES = ((-0.05, 0.05), (0.95, 1.05), (0.8, 1.2))


def test_control_points_keep_the_slopes():
    found, fits = lookup.points(np.random.default_rng(0), 2000, *RANGES, 3)
    assert found.shape == (2000, 9) and fits.mean() > 0.95
    slopes = np.diff(found[fits]) * 8
    assert slopes.min() >= 0.8 - 1e-12 and slopes.max() <= 1.2 + 1e-12
    assert np.abs(found[:, 0]).max() <= 0.05 and np.abs(found[:, -1] - 1).max() <= 0.05


@pytest.mark.parametrize("insertions", [2, 3, 4])
def test_tables_are_monotone_within_the_slopes(insertions):
    m = lookup.matrix(insertions, 256)
    np.testing.assert_allclose(m.sum(1), 1, atol=1e-12)
    found, fits = lookup.points(np.random.default_rng(1), 50, *RANGES, insertions)
    for control in found[fits]:
        slopes = np.diff(lookup.table(m, control)) * 255
        assert slopes.min() >= 0.8 - 1e-3 and slopes.max() <= 1.2 + 1e-3


def test_straight_lines_stay_straight():
    line = lookup.table(lookup.matrix(2, 256), np.linspace(0.1, 0.9, 5))
    np.testing.assert_allclose(line, np.linspace(0.1, 0.9, 256), atol=1e-6)


def test_curves_that_cannot_be():
    _, fits = lookup.points(np.random.default_rng(2), 5, (0, 0), (1, 1), (1.2, 1.5), 2)
    assert not fits.any()


def test_values_are_interpolated_and_cut_at_the_ends():
    table = np.array([1.0, 3, 2])
    x = np.array([-5, 0, 0.25, 0.5, 0.75, 1, 7])
    y = np.empty_like(x)
    lookup.apply(x, table, y)
    np.testing.assert_allclose(y, [1, 1, 2, 3, 2.5, 2, 2])
    lookup.apply(x, table, x)
    np.testing.assert_array_equal(x, y)
