"""SGD: stochastic gradient descent with momentum.

    V <- rate * g + momentum * V        w <- w - V

The learning rate is inside the velocity, so a lower rate takes effect over 1/(1 - momentum) steps.

Source: Caffe's SGDSolver::ComputeUpdateValue (src/caffe/solvers/sgd_solver.cpp).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .solver import Solver


class SGD(Solver):
    type = "SGD"
    histories = 1

    def update(
        self, g: np.ndarray, history: Sequence[np.ndarray], rate: float, scratch: np.ndarray
    ) -> None:
        (velocity,) = history
        velocity *= self.momentum
        g *= rate
        velocity += g
        g[...] = velocity

    def constants(self) -> tuple[float, ...]:
        return (self.momentum,)
