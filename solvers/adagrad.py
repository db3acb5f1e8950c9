"""AdaGrad: each weight's rate falls with the sum of its squared gradients.

    H <- H + g^2        w <- w - rate * g / (sqrt(H) + delta)

SolverError: a momentum other than 0; a negative delta.
Source: Caffe's AdaGradSolver::ComputeUpdateValue (src/caffe/solvers/adagrad_solver.cpp).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .solver import Solver


class AdaGrad(Solver):
    type = "AdaGrad"
    histories = 1
    uses_momentum = False
    limits = (("delta", 0, None),)

    def update(
        self, g: np.ndarray, history: Sequence[np.ndarray], rate: float, scratch: np.ndarray
    ) -> None:
        (squares,) = history
        t = scratch[0]
        np.multiply(g, g, out=t)
        squares += t
        np.sqrt(squares, out=t)
        t += self.delta
        g /= t
        g *= rate

    def constants(self) -> tuple[float, ...]:
        return (self.delta,)
