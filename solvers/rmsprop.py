"""RMSProp: each weight's rate follows the running mean of its squared gradients.

    H <- rms_decay * H + (1 - rms_decay) * g^2        w <- w - rate * g / (sqrt(H) + delta)

SolverError: a momentum other than 0; rms_decay outside [0, 1); a negative delta.
Source: Caffe's RMSPropSolver::ComputeUpdateValue (src/caffe/solvers/rmsprop_solver.cpp).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .solver import Solver


class RMSProp(Solver):
    type = "RMSProp"
    histories = 1
    uses_momentum = False
    limits = (("rms_decay", 0, 1), ("delta", 0, None))

    def update(
        self, g: np.ndarray, history: Sequence[np.ndarray], rate: float, scratch: np.ndarray
    ) -> None:
        (squares,) = history
        t, decay = scratch[0], self.net.dtype.type(self.param.rms_decay)
        squares *= decay
        np.multiply(g, g, out=t)
        t *= 1 - decay
        squares += t
        np.sqrt(squares, out=t)
        t += self.delta
        g /= t
        g *= rate

    def constants(self) -> tuple[float, ...]:
        return self.param.rms_decay, self.delta
