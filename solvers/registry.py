"""Which solver a `type` names."""

from __future__ import annotations

from ..errors import SolverError, did_you_mean
from .adadelta import AdaDelta
from .adagrad import AdaGrad
from .adam import Adam
from .nesterov import Nesterov
from .rmsprop import RMSProp
from .sgd import SGD
from .solver import Solver

SOLVERS: dict[str, type[Solver]] = {
    cls.type: cls for cls in (SGD, Nesterov, AdaGrad, RMSProp, AdaDelta, Adam)
}


def solver_class(name: str, where: str) -> type[Solver]:
    """The class for `type: "name"`; raises SolverError."""
    if name not in SOLVERS:
        raise SolverError(
            f"solver type '{name}' is not known",
            where=where,
            expected="one of " + ", ".join(SOLVERS),
            remedy=did_you_mean(name, SOLVERS),
        )
    return SOLVERS[name]
