"""What signals and clocks ask of a training in several processes, obeyed by all of them together.

A process that stopped alone would leave the others waiting for its gradient.  So what is asked of
one is kept here until the end of the iteration, when all hear of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Asking(Protocol):
    """What is asked of the processes (scale/mpi.py)."""

    rank: int

    def any(self, flags: Sequence[bool]) -> list[bool]: ...


class Wishes:
    """Takes the place of a solver where `stop` and `snapshot_now` are set from outside."""

    def __init__(self, solver: Any, world: Asking) -> None:
        self.solver, self.world = solver, world
        self.stop = self.snapshot_now = False

    def settle(self) -> None:
        """Once an iteration, in every process: what one was asked for is asked of all; rank 0
        writes the snapshot."""
        stop, snapshot = self.world.any([self.stop, self.snapshot_now])
        self.solver.stop |= stop
        if snapshot:
            self.snapshot_now = False
            self.solver.snapshot_now = self.world.rank == 0
