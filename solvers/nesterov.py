"""Nesterov: momentum that looks ahead.

    V' <- rate * g + momentum * V        w <- w - ((1 + momentum) * V' - momentum * V)

Source: Caffe's NesterovSolver::ComputeUpdateValue (src/caffe/solvers/nesterov_solver.cpp).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .solver import Solver


class Nesterov(Solver):
    type = "Nesterov"
    histories = 1

    def update(
        self, g: np.ndarray, history: Sequence[np.ndarray], rate: float, scratch: np.ndarray
    ) -> None:
        (velocity,) = history
        back = scratch[0]
        np.multiply(velocity, self.momentum, out=back)
        g *= rate
        np.add(g, back, out=velocity)
        np.multiply(velocity, 1 + self.momentum, out=g)
        g -= back

    def constants(self) -> tuple[float, ...]:
        return (self.momentum,)
