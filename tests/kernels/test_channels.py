"""Sums over large channels keep float32's digits."""

import numpy as np
import pytest
from demitasse.kernels import channels


@pytest.mark.parametrize(
    "shape", [(1, 2, 1_500_000), (3, 2, 400_000), (1, 2, 1_500_007), (4, 3, 1), (2, 1, 7)]
)
def test_products_of_large_channels_are_summed_exactly_enough(shape):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    for x, y in ((a, a), (a, b)):
        exact = (x.astype(np.float64) * y).sum(axis=(0, 2))
        size = np.abs(x.astype(np.float64) * y).sum(axis=(0, 2))
        assert (np.abs(channels.dot(x, y) - exact) <= 2e-7 * size).all()
