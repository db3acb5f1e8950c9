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

import numpy as np

from ..errors import SolverError, did_you_mean

# policy -> rate(SolverParameter, iteration, current_step, the net's type)
POLICIES: dict[str, Callable[[Any, int, int, Any], Any]] = {
    "fixed": lambda p, i, step, f: p.base_lr,
    "step": lambda p, i, step, f: p.base_lr * np.float64(p.gamma) ** step,
    "exp": lambda p, i, step, f: p.base_lr * np.float64(p.gamma) ** i,
    "inv": lambda p, i, step, f: p.base_lr * (1 + f(p.gamma) * f(i)) ** f(-p.power),
    "multistep": lambda p, i, step, f: p.base_lr * np.float64(p.gamma) ** step,
    "poly": lambda p, i, step, f: (
        p.base_lr * (1 - f(min(i, p.max_iter)) / f(p.max_iter)) ** f(p.power)
    ),
    "sigmoid": lambda p, i, step, f: p.base_lr / (1 + np.exp(-f(p.gamma) * (f(i) - f(p.stepsize)))),
}
# what a policy cannot do without, or not below: field -> smallest value
NEEDED: dict[str, dict[str, float]] = {
    "step": {"stepsize": 1, "gamma": 0.0},
    "exp": {"gamma": 0.0},
    "inv": {"gamma": 0.0},
    "multistep": {"gamma": 0.0},
    "sigmoid": {"gamma": 0.0, "stepsize": 1},
    "poly": {"max_iter": 1},
}


# without which the rate would never change, with what is usual
CHANGED_BY = {"inv": {"gamma": 0.0001, "power": 0.75}, "poly": {"power": 0.9}}


def check(param: Any, where: str) -> None:
    """Refuse a policy that could not be followed, before iteration 0."""
    if not param.HasField("base_lr"):
        raise SolverError("has no base_lr", where=where, remedy="Add a line such as base_lr: 0.01")
    if not math.isfinite(param.base_lr):
        raise SolverError("base_lr is not finite", where=where, found=str(param.base_lr))
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
    for name, usual in CHANGED_BY.get(param.lr_policy, {}).items():
        if not param.HasField(name):
            raise SolverError(
                f"lr_policy '{param.lr_policy}' has no {name}, so the rate never changes",
                where=where,
                remedy=f"Add a line such as {name}: {usual}, or {name}: 0 if that is meant",
            )
    ends = _without_gamma(param)
    if ends is not None and ends < param.max_iter and not param.HasField("gamma"):
        raise SolverError(
            f"lr_policy '{param.lr_policy}' has no gamma, so the rate is 0 from iteration {ends}",
            where=where,
            remedy="Add a line such as gamma: 0.1, or gamma: 0 if that is meant",
        )


def _without_gamma(param: Any) -> int | None:
    """From which iteration on the rate is 0 where gamma is; None: never."""
    first = {"step": param.stepsize, "exp": 1, "multistep": min(param.stepvalue, default=None)}
    return first.get(param.lr_policy)


def learning_rate(
    param: Any, iteration: int, current_step: int, dtype: Any = np.float64
) -> tuple[float, int]:
    """The rate of this iteration, and the step counter after it (for multistep it grows by at most
    one a call, as in Caffe).

    dtype: the net's, in which the formulas of inv, poly and sigmoid are reckoned, as in Caffe.
    """
    steps = param.stepvalue
    if param.lr_policy == "step":
        current_step = iteration // param.stepsize
    elif param.lr_policy == "multistep" and current_step < len(steps):
        current_step += iteration >= steps[current_step]
    number = np.dtype(dtype).type
    with np.errstate(all="ignore"):
        rate = float(number(POLICIES[param.lr_policy](param, iteration, current_step, number)))
    if not math.isfinite(rate):
        raise SolverError(
            f"lr_policy '{param.lr_policy}' gives no finite learning rate at iteration {iteration}",
            found=str(rate),
            remedy="Look at base_lr, gamma, power and stepsize",
        )
    return rate, current_step
