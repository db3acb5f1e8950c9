"""A training in several processes: who does what, and how it ends.

    mpiexec -n 4 python -m mpi4py "$(command -v demitasse)" train solver.prototxt

All processes build the same net, with parameters, history and position from rank 0, on the CPU or
each on a card of its own.  Every one takes its share of the data (layers/hdf5_data.py) and draws
with seed + rank; the gradient is the mean over all.  Rank 0 alone reads the solver's files, tests,
prints and writes.  A process that fails says which it is, and ends all.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .. import netspec, solvers
from ..errors import DemitasseError, counted
from ..scale import mpi, nccl
from ..scale.gradients import MeanGradient
from ..scale.wishes import Wishes
from ..solvers.observer import Hook
from . import _device, _options, _signals
from ._main import said

if TYPE_CHECKING:
    from ..scale.mpi import World
    from ..solvers import Solver


@contextmanager
def together() -> Iterator[World | None]:
    """The processes that train together, None for one alone; whatever ends one ends all."""
    world = mpi.join()
    if world is None:
        yield None
        return
    try:
        yield world
    except BaseException as error:
        code, text = ending(error)
        print(f"{world.name}: {text}", file=sys.stderr, flush=True)
        world.end(code)
        raise


def ending(error: BaseException) -> tuple[int, str]:
    """The exit code and the words for what ended a process."""
    if isinstance(error, DemitasseError | MemoryError | OSError):
        return getattr(error, "exit_code", 1), f"error: {said(error)}"
    if isinstance(error, KeyboardInterrupt):
        return 130, "interrupted"
    return 1, "".join(traceback.format_exception(error)).rstrip()


def agree(param: Any, world: World) -> None:
    """Take rank 0's solver settings; leave out what it does alone."""
    if param.random_seed < 0:
        param.random_seed = secrets.randbits(31)
    param.ParseFromString(world.share(param.SerializeToString()))
    if world.rank:
        for name in ("test_iter", "test_net", "test_net_param", "test_state", "weights"):
            param.ClearField(name)
        param.test_interval = param.snapshot = param.display = 0
        param.snapshot_after_train = False


def share(args: Any, world: World) -> dict[str, Any]:
    """What tells `solvers.build` which process this is; settles its card, and the threads of its
    kernels: its share of this machine's CPUs, but none it is not bound to.  DeviceError where the
    cards are not one for each."""
    from ..kernels.workers import usable_cpus

    mine = max(1, min(usable_cpus(), (os.cpu_count() or 1) // world.local))
    args.threads = args.threads or mine
    device: Any = _device.choose(args.gpu, turn=world.turn)
    args.gpu = "none" if device.on_host else str(device.number)
    nccl.meet(world, device)
    return {"rank": world.rank, "ranks": world.size}


class Together(Hook):
    """Makes the gradient the mean over all processes, and their ends one."""

    def __init__(self, solver: Solver, world: World) -> None:
        self.gradient = MeanGradient(solver.net, world.sums, passes=solver.param.iter_size)
        self.wishes = Wishes(solver, world)

    def on_start(self) -> None:
        self.gradient.on_start()

    def on_gradients_ready(self) -> None:
        self.gradient.on_gradients_ready()
        self.wishes.settle()


def begin(solver: Solver, world: World) -> Wishes:
    """Give every process rank 0's parameters, history and position, and let them train together;
    returns what signals may act on instead of the solver."""
    for array in (solver.net.flat_data, *solver.history):
        world.sums.broadcast(array)
    world.sums.finish()
    position = world.share((solver.iter, solver.current_step, solver.net.state()))
    if world.rank:
        solver.iter, solver.current_step = position[:2]
        solver.net.load_state(position[2])
    together = Together(solver, world)
    solver.hooks = (*solver.hooks, together)
    return together.wishes


def header(world: World, solver: Solver) -> str:
    """What will run, for the log."""
    count = solver.net.workers.threads
    each = f"{counted(count, 'thread')} each"
    on = "" if world.sums is world else f"; {world.sums.title}"
    return f"processes: {world.size}, {world.local} of them here, {each}; batches are of each{on}"


def follow(
    source: netspec.Source, args: Any, world: World, effects: Mapping[signal.Signals, str]
) -> None:
    """Train as rank 0 does, without a word."""
    agree(source.message, world)
    shared = share(args, world)
    solver = solvers.build(source, net_options=_options.net_options(args), **shared)
    asked = begin(solver, world)
    with _signals.obeyed(solver, effects, again_at_once=True, asked=asked):
        solver.solve()
