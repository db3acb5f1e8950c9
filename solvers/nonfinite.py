"""Training that stops at what is not finite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import NonFiniteError
from ..net import origin
from . import snapshot

if TYPE_CHECKING:
    from .solver import Solver


def finite(array: np.ndarray) -> bool:
    """Whether no element is NaN or infinite."""
    return bool(np.isfinite(array).all())


def refuse(
    solver: Solver, what: str, value: float, before: origin.State, *, rerun: bool = False
) -> None:
    """Raise NonFiniteError: name the iteration, the batch of the pass that began in the state
    `before`, and where the forward pass did it (`rerun`) the first bad layer; nothing was updated
    with what is bad."""
    net = solver.net
    layer, batch = "", origin.said(net, before)
    if rerun:
        net.load_state(before)
        try:
            net.forward(check=True)
        except NonFiniteError as error:
            layer = f"; {error.what}"
    rate, _ = solver.rate()
    again = " (where it diverges again, take an earlier one)" if solver.last_snapshot else ""
    raise NonFiniteError(
        f"{what} became {value} at iteration {solver.iter} (learning rate {rate:g}"
        f"{', batch: ' * bool(batch)}{batch}){layer}",
        where=solver.where,
        remedy=f"Training stopped at once; {snapshot.kept(solver)}{again}. Lower base_lr, set"
        " clip_gradients, or look at the data",
    )
