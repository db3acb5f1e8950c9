"""Settings of a solver that are refused before iteration 0."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from ..errors import SolverError


def check(param: Any, test_nets: Sized, where: str) -> None:
    """Refuse settings that could not be followed, before iteration 0."""
    if param.iter_size < 1:
        raise SolverError("iter_size must be at least 1", where=where, found=str(param.iter_size))
    if param.average_loss < 1:
        raise SolverError(
            "average_loss must be at least 1", where=where, found=str(param.average_loss)
        )
    if param.max_iter < 1:
        raise SolverError(
            "max_iter must be at least 1",
            where=where,
            found=str(param.max_iter),
            remedy="Add a line such as max_iter: 10000",
        )
    if param.regularization_type not in ("L1", "L2"):
        raise SolverError(
            "regularization_type is not known",
            where=where,
            expected="L1 or L2",
            found=repr(param.regularization_type),
        )
    if any(n < 1 for n in param.test_iter):
        raise SolverError(
            "test_iter must be at least 1", where=where, found=str(min(param.test_iter))
        )
    if len(param.test_iter) != len(test_nets):
        raise SolverError(
            "there must be one test_iter for each test net",
            where=where,
            expected=str(len(test_nets)),
            found=str(len(param.test_iter)),
        )
    if len(test_nets) and not param.test_interval:
        raise SolverError(
            "has test_iter but no test_interval",
            where=where,
            remedy="Add a line such as test_interval: 500",
        )
