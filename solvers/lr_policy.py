"""Learning-rate policies.

    fixed      base_lr
    step       base_lr * gamma ^ floor(iter / stepsize)
    exp        base_lr * gamma ^ iter
    inv        base_lr * (1 + gamma * iter) ^ (-power)
    multistep  base_lr * gamma ^ current_step, which grows by one where iter reaches a stepvalue
    poly       base_lr * (1 - iter / max_iter) ^ power
    sigmoid    base_lr / (1 + exp(-gamma * (iter - stepsize)))

Source: Caffe's SGDSolver::GetLearningRate (src/caffe/solvers/sgd_solver.cpp).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..errors import SolverError, did_you_mean


def _sigmoid(p: Any, i: int, step: int) -> float:
    exponent = -p.gamma * (i - p.stepsize)
    return p.base_lr / (1 + math.exp(exponent)) if exponent < 700 else 0.0


# policy -> rate(SolverParameter, iteration, current_step)
POLICIES: dict[str, Callable[[Any, int, int], float]] = {
    "fixed": lambda p, i, step: p.base_lr,
    "step": lambda p, i, step: p.base_lr * p.gamma ** (i // p.stepsize),
    "exp": lambda p, i, step: p.base_lr * p.gamma**i,
    "inv": lambda p, i, step: p.base_lr * (1 + p.gamma * i) ** -p.power,
    "multistep": lambda p, i, step: p.base_lr * p.gamma**step,
    "poly": lambda p, i, step: p.base_lr * (1 - min(i / p.max_iter, 1.0)) ** p.power,
    "sigmoid": _sigmoid,
}
# what a policy cannot do without: field -> smallest value
NEEDED: dict[str, dict[str, float]] = {
    "step": {"stepsize": 1},
    "sigmoid": {"gamma": 0.0},
    "poly": {"max_iter": 1},
}


def check(param: Any, where: str) -> None:
    """Refuse a policy that could not be followed, before iteration 0."""
    if not param.HasField("base_lr"):
        raise SolverError("has no base_lr", where=where, remedy="Add a line such as base_lr: 0.01")
    if param.lr_policy not in POLICIES:
        raise SolverError(
            f"lr_policy '{param.lr_policy}' is not known"
            if param.lr_policy
            else "has no lr_policy",
            where=where,
            expected="one of " + ", ".join(POLICIES),
            remedy=did_you_mean(param.lr_policy, POLICIES),
        )
    for name, least in NEEDED.get(param.lr_policy, {}).items():
        if getattr(param, name) < least:
            raise SolverError(
                f"lr_policy '{param.lr_policy}' needs {name}",
                where=where,
                expected=f"at least {least:g}",
                found=f"{getattr(param, name):g}",
            )


def learning_rate(param: Any, iteration: int, current_step: int) -> tuple[float, int]:
    """The rate of this iteration, and the multistep counter after it (it grows by at most one a
    call, as in Caffe)."""
    if (
        param.lr_policy == "multistep"
        and current_step < len(param.stepvalue)
        and iteration >= param.stepvalue[current_step]
    ):
        current_step += 1
    try:
        rate = POLICIES[param.lr_policy](param, iteration, current_step)
    except (OverflowError, ZeroDivisionError):
        rate = math.inf
    if isinstance(rate, complex) or not math.isfinite(rate):
        raise SolverError(
            f"lr_policy '{param.lr_policy}' gives no finite learning rate at iteration {iteration}",
            found=str(rate),
            remedy="Look at base_lr, gamma, power and stepsize",
        )
    return rate, current_step
