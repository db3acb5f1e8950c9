"""AdaDelta: the ratio of past updates to past gradients takes the place of the rate.

    H1 <- momentum * H1 + (1 - momentum) * g^2
    u   = g * sqrt((H2 + delta) / (H1 + delta))
    H2 <- momentum * H2 + (1 - momentum) * u^2
    w  <- w - rate * u

H2 remembers u before the rate.  history: H1 of every parameter, then H2.
SolverError: momentum outside [0, 1); a negative delta.
Source: Caffe's AdaDeltaSolver::ComputeUpdateValue (src/caffe/solvers/adadelta_solver.cpp).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .solver import Solver


class AdaDelta(Solver):
    type = "AdaDelta"
    histories = 2
    limits = (("momentum", 0, 1), ("delta", 0, None))

    def update(
        self, g: np.ndarray, history: Sequence[np.ndarray], rate: float, scratch: np.ndarray
    ) -> None:
        gradients, updates = history
        t, ratio = scratch
        self.follow(gradients, g, t)
        np.add(updates, self.delta, out=ratio)
        np.add(gradients, self.delta, out=t)
        ratio /= t
        np.sqrt(ratio, out=ratio)
        g *= ratio
        self.follow(updates, g, t)
        g *= rate

    def constants(self) -> tuple[float, ...]:
        return self.momentum, self.delta

    def follow(self, mean: np.ndarray, x: np.ndarray, t: np.ndarray) -> None:
        """mean <- momentum * mean + (1 - momentum) * x^2."""
        mean *= self.momentum
        np.multiply(x, x, out=t)
        t *= 1 - self.momentum
        mean += t
