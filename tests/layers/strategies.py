"""What hypothesis draws for the layer tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

# gradient checks are slow: few examples, always the same ones, no deadline on a busy machine
few = settings(max_examples=12, deadline=None, derandomize=True, database=None)


def shapes(least: int = 1, most: int = 4, longest: int = 5) -> Any:
    return st.lists(st.integers(1, longest), min_size=least, max_size=most).map(tuple)


def numbers(shape: Any, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)
