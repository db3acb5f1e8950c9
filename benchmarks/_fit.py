"""How a cost grows: y = factor x^exponent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


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
