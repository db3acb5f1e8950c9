"""Which solver a `type` names."""

from __future__ import annotations

from ..errors import SolverError, did_you_mean
from .sgd import SGD
from .solver import Solver

SOLVERS: dict[str, type[Solver]] = {"SGD": SGD}
NOT_YET = ("Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")


def solver_class(name: str, where: str) -> type[Solver]:
    """The class for `type: "name"`; raises SolverError."""
    if name not in SOLVERS:
        raise SolverError(
            f"solver type '{name}' is not {'there yet' if name in NOT_YET else 'known'}",
            where=where,
            expected="one of " + ", ".join(SOLVERS),
            remedy=did_you_mean(name, SOLVERS),
        )
    return SOLVERS[name]
