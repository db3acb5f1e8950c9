"""Train a net: `python tools/solve.py models/solver.prototxt`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("solve")

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import netspec
from ..errors import (
    DeviceError,
    GraphError,
    MemoryBudgetError,
    ShapeError,
    SolverError,
    SpecError,
    WriteError,
)
from ..files import check_writable
from ..solvers import newest, snapshot
from ..solvers.observer import Hook, Observer, Observers
from . import _device, _live, _options, _ranks, _runs, _signals
from ._debug import DebugInfo
from ._learns import check_learns
from ._lock import locked
from ._progress import follow
from ._record import RunLog, beside
from ._tests import Sameness, left_out
from ._training import TrainingLog
from ._verify import add_verify

if TYPE_CHECKING:
    from ..scale.mpi import World

EPILOG = """\
examples:
  python tools/solve.py models/solver.prototxt
        train the U-Net; the built-in data set is made on first use
  python tools/solve.py models/solver-small.prototxt --time 2m
        a small net, for two minutes
  python tools/solve.py -solver models/solver.prototxt -snapshot unet_iter_1000.solverstate.h5
        go on where a snapshot was written, bit for bit
  python tools/solve.py models/solver.prototxt --resume auto
        go on from the newest complete snapshot, if there is one: for jobs that are started again
  python tools/solve.py models/solver.prototxt --recompute
        train in less memory, somewhat slower, with the same results
  python tools/solve.py my_solver.prototxt -weights unet.h5
        fine-tune: start from the parameters of layers with the same names
  mpiexec -n 4 python -m mpi4py "$(command -v demitasse)" train models/solver.prototxt
        train in four processes, each with batches of its own (docs/scaling.md); with -gpu auto,
        on four cards

While it runs, Ctrl-C writes a snapshot and stops; a second Ctrl-C stops at once; kill -HUP writes a
snapshot and goes on.  At the end PREFIX.h5 holds all that tools/deploy.py needs.  On a terminal a
view shows how it goes, in a pipe Caffe's lines do; log.jsonl beside the snapshots keeps it all, and
tools/report.py makes a page of that.
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="solve.py",
        description="Train the net that a Caffe solver prototxt names.",
        epilog=EPILOG,
    )
    p.add_argument("file", nargs="?", metavar="SOLVER", help="the solver's prototxt")
    p.add_argument("-solver", "--solver", metavar="SOLVER", help="the same, as Caffe spells it")
    p.add_argument("-weights", "--weights", metavar="FILE[,FILE]", help="parameters to start from")
    p.add_argument("-snapshot", "--snapshot", metavar="STATE", help="solver state to continue")
    p.add_argument(
        "--resume",
        choices=("auto",),
        help="continue the newest complete snapshot of the prefix; begin anew where there is none",
    )
    p.add_argument(
        "--strict",
        action="store_true",
        help="refuse -weights that lack layers of the net, or have others",
    )
    add_verify(p)
    _options.add_gpu(p)
    _signals.add_effects(p)
    _options.add_python(p)
    _options.add_engine(p)
    _options.add_fillers(p)
    _options.add_memory(p)
    _options.add_recompute(p)
    p.add_argument("--seed", type=whole(0), metavar="N", help="instead of the solver's random_seed")
    p.add_argument(
        "--max-iter", type=whole(1), metavar="N", help="instead of the solver's max_iter"
    )
    p.add_argument("--prefix", help="where results go, instead of the solver's snapshot_prefix")
    p.add_argument("--overwrite", action="store_true", help="replace PREFIX.h5 if it exists")
    p.add_argument(
        "--time", type=_options.seconds, metavar="T", help="stop after this time: 90s, 40m, 2h"
    )
    p.add_argument("--no-live", action="store_true", help="lines as in a pipe, also on a terminal")
    p.add_argument(
        "--tensorboard", metavar="DIR", help="also write events for TensorBoard into DIR"
    )
    return p


def whole(least: int) -> Callable[[str], int]:
    """A whole number from `least` to what an int32 field of a prototxt holds."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = -1
        if not least <= value < 1 << 31:
            raise argparse.ArgumentTypeError(
                f"'{text}' is not a whole number from {least} to {(1 << 31) - 1}"
            )
        return value

    return number


def main(argv: Sequence[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    if args.gpu != "auto":  # which of several processes this is decides what that is
        _device.choose(args.gpu)
    path = _options.one_of({"SOLVER": args.file, "-solver": args.solver}, "the solver")
    if path is None:
        p.error("the solver is missing: SOLVER, or -solver SOLVER")
    with _ranks.together() as world:
        return solve(path, args, argv, world)


def solve(path: str, args: Any, argv: Sequence[str], world: World | None) -> int:
    """Train as the command line says; world: the processes that train together, or None."""
    if args.weights and args.snapshot:
        raise SolverError(
            "-weights and -snapshot exclude each other",
            remedy="A snapshot brings its own parameters; leave -weights out",
        )
    if args.resume and args.snapshot:
        raise SolverError(
            "--resume auto and -snapshot exclude each other",
            remedy="--resume auto finds the snapshot; -snapshot names it",
        )
    source = netspec.read_solver(path)
    override(source, args, alone=world is None)
    if world is not None and world.rank:
        _ranks.follow(source, args, world, effects(args))
        return 0
    prefix = source.message.snapshot_prefix
    with locked(prefix, print):
        newest.remove_leftovers(prefix, print)
        if args.resume:
            found = newest.newest(prefix, print, _runs.own(beside(prefix), prefix))
            print(f"--resume auto: {found or 'there is no snapshot yet, beginning anew'}")
            args.snapshot = str(found) if found else None
        continued(source, args)
        model = Path(f"{prefix}.h5")
        check_writable(model, overwrite=args.overwrite or bool(args.snapshot))
        make_built_in_data(source)
        if world is not None:
            _ranks.agree(source.message, world)
        train(source, args, model, argv, world)
    return 0


def override(source: netspec.Source, args: Any, *, alone: bool = True) -> None:
    """What the command line says instead of the prototxt; alone: no process trains with it."""
    param = source.message
    _device.follow_mode(args, source, alone=alone)
    if args.seed is not None:
        param.random_seed = args.seed
    if args.max_iter is not None:
        param.max_iter = args.max_iter
    if args.prefix is not None:
        param.snapshot_prefix = netspec.in_prototxt(args.prefix)
        if args.prefix.endswith(os.sep) or os.path.isdir(args.prefix):
            own = os.path.join(args.prefix, Path(source.path).stem)
            param.snapshot_prefix = netspec.in_prototxt(own)


def continued(source: netspec.Source, args: Any) -> None:
    """What a snapshot, or the parameters to start from, say instead of the prototxt."""
    param = source.message
    if args.seed is None and args.snapshot:
        seed = snapshot.seed_of(Path(args.snapshot))
        param.random_seed = param.random_seed if seed is None else seed
    if args.weights or args.snapshot:  # instead of the solver's own
        del param.weights[:]
        given = args.weights and not args.snapshot
        param.weights.extend([netspec.in_prototxt(args.weights)] if given else [])


def make_built_in_data(source: netspec.Source) -> None:
    """Make the built-in data set where a solver's nets name it and it is not there yet."""
    from ..solvers.build import TRAIN_FIELDS, test_sources, train_source

    if not any(source.message.HasField(name) for name in TRAIN_FIELDS):
        return  # refused with better words when the solver is built
    training = train_source(source.message, source.path, "")
    for net in (training, *test_sources(source.message, source.path, "", training)):
        for said in make_data_of(net):
            print(said)


def make_data_of(net: netspec.Source) -> Iterator[str]:
    """The same for one net; yields what it is about to make."""
    from ..data import synthetic, volumes

    for layer in net.message.layer:
        source = layer.hdf5_data_param.source
        if layer.type == "HDF5Data" and not Path(source).exists():
            for made, what in ((synthetic, "membrane images"), (volumes, "volumes of cells")):
                recipe = made.built_in(source)
                if recipe is not None:
                    yield f"{recipe.folder}: making the built-in synthetic {what} (once)"
                    recipe.make(track=follow)


def effects(args: Any) -> dict[signal.Signals, str]:
    """What each signal does."""
    return {
        signal.SIGINT: args.sigint_effect,
        signal.SIGHUP: args.sighup_effect,
        signal.SIGTERM: "stop",
    }


def train(
    source: netspec.Source,
    args: Any,
    target: Path,
    argv: Sequence[str] = (),
    world: World | None = None,
) -> None:
    """Build, restore, run, and write the deployable model."""
    from .. import solvers
    from ..solvers.build import train_source
    from ._model import describe

    shared: dict[str, Any] = {}
    if world is not None:
        shared = _ranks.share(args, world)
        args.no_live = True  # mpiexec gives its processes a terminal that nobody looks at
    live = _live.possible(sys.stdout) and not (args.no_live or source.message.debug_info)
    log = _live.LiveLog(sys.stdout, args.time) if live else TrainingLog(sys.stdout)
    record = RunLog(beside(source.message.snapshot_prefix), log.said)
    events = None
    if args.tensorboard is not None:
        from ._tensorboard import Events

        events = Events(args.tensorboard)
    observers: list[Observer] = [log, record, *([events] if events else [])]
    options = _options.net_options(args, debug=source.message.debug_info)
    with naming_what_fits(source, options):
        solver = solvers.build(
            source,
            observer=Observers(*observers),
            strict=args.strict,
            net_options=options,
            **shared,
        )
    check_learns(solver.net)
    log.header(solver)
    if world is not None:
        log.said(_ranks.header(world, solver))
    if args.caffe_unet_2015:
        log.said(_options.FILLERS_SAID)
    for line in (*ignored(solver.param, solver.net.device), *left_out(solver)):
        log.said(line)
    solver.observer = Observers(solver.observer, Sameness(solver, log.said))
    if solver.param.debug_info:
        show = DebugInfo(solver, lambda place, message, level="I": log.said(message))
        solver.hooks = (*solver.hooks, show)
    description = None
    try:
        description = describe(solver, train_source(source.message, source.path, ""))
    except (GraphError, ShapeError, SpecError) as error:
        log.said(f"only snapshots will be written, no model to deploy: {error}")
    if args.snapshot:
        solver.restore(args.snapshot)
        log.said(f"continuing at iteration {solver.iter}")
        if solver.iter >= solver.param.max_iter and not args.resume:
            raise SolverError(
                "the snapshot is as far as max_iter, so there is nothing to do",
                where=args.snapshot,
                expected=f"an iteration below {solver.param.max_iter}",
                found=str(solver.iter),
                remedy="Give a larger --max-iter",
            )
    asked = solver if world is None else _ranks.begin(solver, world)  # to stop, to snapshot
    if args.time is not None:
        solver.hooks = (_Deadline(asked, time.monotonic() + args.time), *solver.hooks)
    record.begin(solver, source, options=options, command=["train", *argv], snapshot=args.snapshot)
    began, unwritten = solver.iter, None
    with record, events or nullcontext():
        try:
            obeyed = _signals.obeyed(
                solver, effects(args), again_at_once=True, quiet=live, asked=asked
            )
            with naming_what_fits(source, options, solver), obeyed, log.running(solver):
                solver.solve()
        except WriteError as error:  # no room for the last snapshot; the model is smaller
            unwritten = error
            log.said(f"the last snapshot was not written; {snapshot.kept(solver)}")
        if description is not None:
            solver.check_finite()
            description.write(target, solver)
            record.wrote(target)
            ready = f"ready for {_options.spoken('tools/deploy.py')} --weights {target}"
            log.said(f"{target}: the model, {ready}")
        if said := _signals.last_words(solver, began, source.path):
            log.said(said)
        if unwritten is not None:
            raise unwritten


@contextmanager
def naming_what_fits(
    source: netspec.Source, options: dict[str, Any], solver: Any = None
) -> Iterator[None]:
    """Let a refusal for want of memory say which tile would fit, in what was free at first, or in
    what a solver has and what is free beside it."""
    from ..net.limits import installed, room

    device = options["device"]
    free = device.free()
    try:
        with device.memory():
            yield
    except (MemoryBudgetError, DeviceError) as error:
        if isinstance(error, DeviceError) and "out of memory" not in error.what:
            raise
        from ..solvers.build import train_source
        from ..solvers.registry import solver_class
        from ._fits import advice

        if solver is not None and free is not None:
            free = room(solver.net) + sum(int(array.nbytes) for array in solver.history)
        most = options["memory"] or free or installed()
        error.remedy = error.remedy.removesuffix(".")
        said = advice(
            train_source(source.message, source.path, ""),
            most,
            histories=solver_class(source.message.type, source.path).histories,
            recompute=options["recompute"],
            device=device,
        )
        error.remedy = ". ".join(part for part in (said, error.remedy) if part)
        raise


def ignored(param: Any, device: Any) -> Iterator[str]:
    """A line for each setting that this version does not follow."""
    if param.test_interval and not len(param.test_iter):
        yield "test_interval is given but no test_iter, so nothing will be tested"
    if _device.wants_card(param) and device.on_host:
        yield "solver_mode: GPU, but no card can be used (-gpu 0 says why): computing on the CPU"


class _Deadline(Hook):
    """Stops the solver after the iteration in which the time runs out."""

    def __init__(self, asked: Any, end: float) -> None:
        self.asked, self.end = asked, end

    def on_gradients_ready(self) -> None:
        self.asked.stop |= time.monotonic() >= self.end

    def looks(self) -> bool:
        return False
