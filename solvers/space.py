"""Room for snapshots: how large one is, what the disk has, and what happens where it is full.

A snapshot is written beside the one it replaces, so there must be room for one more.  A training
that cannot write one says so and goes on: what was learned so far is in memory and in the last one.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from .. import weights
from ..errors import OutputError, SolverError
from ..files import is_limited
from ..net.limits import mib
from .snapshot import HDF5, kept, names

if TYPE_CHECKING:
    from .solver import Solver


def sizes(solver: Solver) -> tuple[int, int]:
    """Bytes of the parameters' file and of the state's, less some kB around the numbers."""
    param, net = solver.param, solver.net
    count = sum(p.count for p in net.param_table) * (2 if param.snapshot_diff else 1)
    remembered = solver.histories * net.flat_data.size
    return count * net.dtype.itemsize, remembered * net.dtype.itemsize


def check_size(solver: Solver) -> None:
    """Refuse now a binary snapshot that would be too large for Caffe, not after the training."""
    size = max(sizes(solver))
    if wanted(solver) and solver.param.snapshot_format != HDF5 and size > weights.LIMIT:
        raise SolverError(
            "a snapshot would be larger than a binary file of Caffe may be",
            where=solver.where,
            expected=f"at most {weights.LIMIT} bytes",
            found=f"at least {size}",
            remedy="Add the line snapshot_format: HDF5",
        )


def wanted(solver: Solver) -> bool:
    return bool(solver.param.snapshot or solver.param.snapshot_after_train)


def check_space(solver: Solver) -> None:
    """Refuse to begin where not even one snapshot would fit; say where not all will."""
    need, free = sum(sizes(solver)), left(solver)
    if not wanted(solver) or free is None:
        return
    if free < need:
        raise OutputError(
            "has no room for a snapshot",
            where=str(names(solver.param.snapshot_prefix, 0)[1].absolute().parent),
            expected=f"at least {mib(need)}",
            found=f"{mib(free)} free",
            remedy="Free some space, or let snapshot_prefix (--prefix) name another folder",
        )
    count = planned(solver)
    if free < need * count:
        solver.observer.said(
            f"{count} snapshots of {mib(need)} each are planned, but {mib(free)} are free: the last"
            f" {count - free // need} will not fit unless others are deleted meanwhile"
        )


def planned(solver: Solver) -> int:
    """How many snapshots are still to come."""
    p, now = solver.param, solver.iter
    due = p.max_iter // p.snapshot - now // p.snapshot if p.snapshot else 0
    last = p.snapshot_after_train and not (p.snapshot and p.max_iter % p.snapshot == 0)
    return due + last


def left(solver: Solver) -> int | None:
    """Bytes free where the snapshots go; None where the system does not say."""
    try:
        return shutil.disk_usage(names(solver.param.snapshot_prefix, 0)[1].parent).free
    except OSError:
        return None


def attempt(solver: Solver) -> None:
    """Write a snapshot on the way; where that fails, say so and go on."""
    try:
        solver.snapshot()
    except OutputError as error:
        solver.unwritten = error
        free = None if is_limited(error.__cause__) else left(solver)
        room = "" if free is None else f"; it takes {mib(sum(sizes(solver)))}, {mib(free)} are free"
        solver.observer.said(
            f"the snapshot of iteration {solver.iter} was not written: {error.where}: {error.what}"
            f"{room}; the training goes on; {kept(solver)}"
        )
