"""How a cost grows: y = factor x^exponent, and y = constant + factor x^exponent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls


class Power(NamedTuple):
    """spread: the largest factor between a point and the law."""

    exponent: float
    factor: float
    spread: float

    def __str__(self) -> str:
        return f"^{self.exponent:.2f} (within {100 * (self.spread - 1):.0f} %)"


def power(x: Sequence[float], y: Sequence[float]) -> Power:
    """The law nearest to the points by least squares of logarithms; ValueError for fewer than two
    different x, or a number that is not positive."""
    if len(set(x)) < 2 or min(*x, *y) <= 0:
        raise ValueError("a power law needs two different positive points or more")
    logs = np.log(np.asarray(x, float)), np.log(np.asarray(y, float))
    exponent, constant = np.polyfit(*logs, 1)
    off = np.abs(logs[1] - (exponent * logs[0] + constant)).max()
    return Power(float(exponent), math.exp(constant), math.exp(off))


class Growth(NamedTuple):
    """spread: the largest factor between a point and the law."""

    exponent: float
    factor: float
    constant: float
    spread: float

    def __str__(self) -> str:
        return f"^{self.exponent:.2f} (within {100 * (self.spread - 1):.0f} %)"


def growth(x: Sequence[float], y: Sequence[float]) -> Growth:
    """The law y = constant + factor x^exponent with constant >= 0 and exponents of 0.1 to 5 that is
    nearest by relative errors; for what a process needs at any rate and what its work adds.
    ValueError for fewer than four different x, or a number that is not positive."""
    if len(set(x)) < 4 or min(*x, *y) <= 0:
        raise ValueError("a law with a constant needs four different positive points or more")
    wide, high = np.asarray(x, float) / max(x), np.asarray(y, float)
    best: tuple[float, Growth] | None = None
    for exponent in np.arange(0.1, 5.005, 0.01):
        terms = np.stack([np.ones_like(wide), wide**exponent], 1)
        constant, factor = nnls(terms / high[:, None], np.ones_like(high))[0]
        law = terms @ (constant, factor)
        off = float(((law / high - 1) ** 2).sum())
        if best is None or off < best[0]:
            spread = float(np.exp(np.abs(np.log(law / high)).max()))
            scale = factor / max(x) ** exponent
            best = off, Growth(float(exponent), float(scale), float(constant), spread)
    assert best is not None
    return best[1]
