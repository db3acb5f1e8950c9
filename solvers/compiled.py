"""Which update is compiled: every solver's is, in kernels/update_numba.py, where that pays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..kernels.optional import optional
from ..net import Net

LARGE = 1 << 20  # parameters from which the compiled passes are worth loading


def rule(solver: str, net: Net) -> Callable[..., None] | None:
    """The solver's pass over float32 on the host; None where Numba is not installed, or there is
    little to update."""
    if not net.device.on_host or net.dtype != np.float32 or net.flat_data.size < LARGE:
        return None
    made = optional("update_numba")
    return None if made is None else made.RULES[solver]
