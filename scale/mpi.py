"""The processes that MPI started together, as little of them as training needs.

    world = join()                    None where this process is alone
    world.mean(array)                 array = 1/n sum_r array_r, the same bits on every rank
    world.begin(array)                the same, in a thread; world.finish() waits for it
    world.broadcast(array)            array = that of rank 0

The arrays are NumPy's; those of cards are summed by `world.sums` (scale/nccl.py).  A sum is
MPI_Allreduce in place; MPI leaves its algorithm to the library, but every usual one (recursive
doubling, a ring, Rabenseifner's) computes an element in one place, or by the same commutative
additions everywhere.

A process is one of several if mpi4py runs it (`python -m mpi4py`) or if mpiexec or srun say so in
its environment; mpi4py is imported only then.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from ..errors import DeviceError

SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS")  # Open MPI, MPICH and Intel, MPICH


class World:
    """rank: 0 ... size - 1; local: how many of the processes run on this machine; turn: which of
    these this one is; machine, name: for messages; sums: who sums and broadcasts a net's arrays,
    this or NCCL."""

    def __init__(self, mpi: Any) -> None:
        self._mpi, self._comm = mpi, mpi.COMM_WORLD
        self.rank, self.size = int(self._comm.rank), int(self._comm.size)
        here = self._comm.Split_type(mpi.COMM_TYPE_SHARED)
        self.local, self.turn = int(here.size), int(here.rank)
        here.Free()
        self.machine = str(mpi.Get_processor_name())
        self.name = f"rank {self.rank} of {self.size} on {self.machine}"
        # calls never overlap, but a thread makes most of them
        threaded = mpi.Query_thread() >= mpi.THREAD_SERIALIZED
        self._pool = ThreadPoolExecutor(1, "demitasse-mean") if threaded else None
        self._begun: list[Future[None]] = []
        self.sums: Any = self

    def mean(self, array: Any) -> None:
        """Put the mean of all ranks' arrays in the place of each."""
        self._comm.Allreduce(self._mpi.IN_PLACE, array)
        array *= array.dtype.type(1 / self.size)

    def begin(self, array: Any) -> None:
        """`mean`; it may be done only when `finish` returns."""
        if self._pool is None:
            self.mean(array)
        else:
            self._begun.append(self._pool.submit(self.mean, array))

    def finish(self) -> None:
        """Wait for all that was begun; raise what failed."""
        begun, self._begun = self._begun, []
        for future in begun:
            future.result()

    def broadcast(self, array: Any) -> None:
        """Put rank 0's array in the place of each."""
        self._comm.Bcast(array)

    def share(self, value: Any) -> Any:
        """Rank 0's value, on every rank."""
        return self._comm.bcast(value)

    def gather(self, value: Any) -> list[Any]:
        """Every rank's value, on every rank."""
        return list(self._comm.allgather(value))

    def any(self, flags: Sequence[bool]) -> list[bool]:
        """For each flag, whether it is set on some rank."""
        found = np.array(flags, np.uint8)
        self._comm.Allreduce(self._mpi.IN_PLACE, found, self._mpi.MAX)
        return [bool(flag) for flag in found]

    def wait(self) -> None:
        """Until all ranks are here."""
        self._comm.Barrier()

    def end(self, code: int) -> None:
        """End all processes of the job, at once."""
        self._comm.Abort(code)


def join() -> World | None:
    """The processes of this job, None where there is one.

    Raises DeviceError where there are several but mpi4py is missing.
    """
    told = next((int(os.environ[n]) for n in SIZES if os.environ.get(n, "").isdecimal()), 1)
    if told == 1 and "mpi4py.MPI" not in sys.modules:
        return None
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: there is no MPI library to load
        raise DeviceError(
            f"this is one of {told} processes that mpiexec started, but they cannot find each other"
            f" ({error})",
            expected="mpi4py and an MPI library",
            remedy="Install them: pip install 'demitasse[mpi]'",
        ) from None
    return World(MPI) if MPI.COMM_WORLD.size > 1 else None
