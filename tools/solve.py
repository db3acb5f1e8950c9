"""Train a net: `python tools/solve.py models/solver.prototxt`."""

from __future__ import annotations

if not __package__:  # run as a script
    import _root  # type: ignore[import-not-found]

    _root.run("solve")

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import netspec
from ..errors import SolverError
from ..files import check_writable
from ..solvers.observer import Hook
from . import _options
from ._training import TrainingLog

EPILOG = """\
examples:
  python tools/solve.py models/solver.prototxt
        train the U-Net; the built-in data set is made on first use
  python tools/solve.py models/solver-small.prototxt --time 2m
        a small net, for two minutes
  python tools/solve.py -solver models/solver.prototxt -snapshot unet_iter_1000.solverstate.h5
        go on where a snapshot was written, bit for bit
  python tools/solve.py my_solver.prototxt -weights unet.h5
        fine-tune: start from the parameters of layers with the same names

While it runs, Ctrl-C writes a snapshot and stops; a second Ctrl-C stops at once; kill -HUP writes a
snapshot and goes on.  At the end PREFIX.h5 holds all that tools/deploy.py needs.
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="solve.py",
        description="Train the net that a Caffe solver prototxt names.",
        epilog=EPILOG,
    )
    p.add_argument("file", nargs="?", metavar="SOLVER", help="the solver's prototxt")
    p.add_argument("-solver", "--solver", metavar="SOLVER", help="the same, as Caffe spells it")
    p.add_argument(
        "-weights",
        "--weights",
        metavar="FILE[,FILE]",
        help="parameters to start from (fine-tuning)",
    )
    p.add_argument("-snapshot", "--snapshot", metavar="STATE", help="solver state to continue")
    _options.add_gpu(p)
    p.add_argument("--seed", type=int, help="random seed, instead of the solver's random_seed")
    p.add_argument("--max-iter", type=int, help="iterations, instead of the solver's max_iter")
    p.add_argument("--prefix", help="where results go, instead of the solver's snapshot_prefix")
    p.add_argument(
        "--time", type=_options.seconds, metavar="T", help="stop after this time: 90s, 40m, 2h"
    )
    return p


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    _options.check_gpu(args.gpu)
    path = _options.one_of({"SOLVER": args.file, "-solver": args.solver}, "the solver")
    if path is None:
        parser().print_help()
        return 0
    if args.weights and args.snapshot:
        raise SolverError(
            "-weights and -snapshot exclude each other",
            remedy="A snapshot brings its own parameters; leave -weights out",
        )
    source = netspec.read_solver(path)
    override(source.message, args)
    prefix = source.message.snapshot_prefix
    for name in (f"{prefix}.h5", f"{prefix}_iter_1.solverstate.h5"):
        check_writable(name)
    make_built_in_data(source)
    train(source, args)
    return 0


def override(param: Any, args: Any) -> None:
    """What the command line says instead of the prototxt."""
    if args.seed is not None:
        param.random_seed = args.seed
    if args.max_iter is not None:
        param.max_iter = args.max_iter
    if args.prefix is not None:
        param.snapshot_prefix = args.prefix


def make_built_in_data(source: netspec.Source) -> None:
    """Make the built-in data set where the net names it and it is not there yet."""
    from ..data import synthetic
    from ..solvers.build import TRAIN_FIELDS, train_source

    if not any(source.message.HasField(name) for name in TRAIN_FIELDS):
        return  # refused with better words when the solver is built
    net = train_source(source.message, source.path, "").message
    for layer in net.layer:
        if layer.type == "HDF5Data" and not Path(layer.hdf5_data_param.source).exists():
            recipe = synthetic.built_in(layer.hdf5_data_param.source)
            if recipe is not None:
                print(f"{recipe.folder}: making the built-in synthetic membrane images (once)")
                recipe.make()


def train(source: netspec.Source, args: Any) -> None:
    """Build, restore, run, and write the deployable model."""
    from .. import solvers
    from ..solvers.build import train_source
    from ._model import describe

    log = TrainingLog(sys.stdout)
    solver = solvers.build(source, observer=log)
    log.header(solver)
    if args.snapshot:
        solver.restore(args.snapshot)
        log.said(f"continuing at iteration {solver.iter}")
    for path in filter(None, (args.weights or ",".join(source.message.weights)).split(",")):
        if not args.snapshot:
            for line in solver.load_weights(path).table():
                log.said(line)
    watch_signals(solver, log)
    if args.time is not None:
        end = time.monotonic() + args.time
        solver.hooks = (*solver.hooks, _Deadline(solver, end))
    with log.running(solver):
        solver.solve()
    target = Path(f"{solver.param.snapshot_prefix}.h5")
    net = train_source(source.message, source.path, "")
    describe(solver, net).write(target)
    log.said(f"{target}: the model, ready for tools/deploy.py --weights {target}")


class _Deadline(Hook):
    """Stops the solver after the iteration in which the time runs out."""

    def __init__(self, solver: Any, end: float) -> None:
        self.solver, self.end = solver, end

    def on_start(self) -> None:
        self.solver.stop |= time.monotonic() >= self.end


def watch_signals(solver: Any, log: TrainingLog) -> None:
    """SIGINT: finish the iteration, snapshot, stop; again: stop at once.  SIGHUP: snapshot."""

    def interrupt(number: int, frame: object) -> None:
        if solver.stop:
            raise KeyboardInterrupt
        log.said("stopping after this iteration (again: at once)")
        solver.stop = True

    def hangup(number: int, frame: object) -> None:
        solver.snapshot_now = True

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, hangup)
