"""Adam: running means of gradients and of their squares, corrected for their start at 0.

    m <- b1 * m + (1 - b1) * g        v <- b2 * v + (1 - b2) * g^2
    w <- w - rate * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + delta)

t is the iteration, from 1; b1 is `momentum` (0 where the file does not give it, unlike elsewhere),
b2 is `momentum2`.  history: m of every parameter, then v.
SolverError: momentum or momentum2 outside [0, 1); a negative delta.
Source: Caffe's AdamSolver::ComputeUpdateValue (src/caffe/solvers/adam_solver.cpp).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .solver import Solver


class Adam(Solver):
    type = "Adam"
    histories = 2
    limits = (("momentum", 0, 1), ("momentum2", 0, 1), ("delta", 0, None))

    def update(
        self, g: np.ndarray, history: Sequence[np.ndarray], rate: float, scratch: np.ndarray
    ) -> None:
        m, v = history
        dtype = self.net.dtype.type
        b1, b2, delta, correction = (dtype(x) for x in self.constants())
        t = scratch[0]
        v *= b2
        np.multiply(g, g, out=t)
        t *= 1 - b2
        v += t
        m *= b1
        g *= 1 - b1
        m += g
        np.sqrt(v, out=t)
        t += delta
        np.divide(m, t, out=g)
        g *= rate * correction

    def constants(self) -> tuple[float, ...]:
        """b1, b2, delta, and how far the means are from their start."""
        b1, b2 = float(self.momentum), float(self.net.dtype.type(self.param.momentum2))
        n = self.iter + 1
        correction = math.sqrt(1 - b2**n) / (1 - b1**n)
        return b1, b2, self.delta, correction
