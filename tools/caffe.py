"""Caffe's command line: `python tools/caffe.py train -solver solver.prototxt`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("caffe")

import contextlib
import signal
import sys
import time as clock
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import netspec
from ..errors import DemitasseError, did_you_mean
from ..files import check_writable
from . import _device, _options, _signals
from ._debug import DebugInfo, watch
from ._glog import Glog, SolverLog, add_glog, elements
from ._learns import check_learns
from ._lock import locked
from ._netlog import lines
from ._verify import add_verify

if TYPE_CHECKING:
    from ..net import Net
    from ..solvers import Solver

EPILOG = """\
commands:
  train           train or finetune a net           -solver [-snapshot | -weights]
  test            score a net on its test data      -model -weights [-iterations]
  time            time every layer of a net         -model [-iterations] [-phase]
  device_query    say what computes here

examples:
  python tools/caffe.py train -solver solver.prototxt 2>&1 | tee train.log
        the log is Caffe's: scripts that read such logs read this one
  python tools/caffe.py train -solver solver.prototxt -snapshot net_iter_1000.solverstate.h5
        go on where a snapshot was written
  python tools/caffe.py train -solver solver.prototxt -weights old.caffemodel
        finetune: start from the parameters of layers with the same names
  python tools/caffe.py test -model net.prototxt -weights net.caffemodel -iterations 100
  python tools/caffe.py time -model net.prototxt -iterations 10

Flags are Caffe's, with one dash or two, before or after the command.  While it trains, Ctrl-C
finishes the iteration, writes a snapshot and stops; kill -HUP writes a snapshot and goes on.  For a
progress bar and a model that tools/deploy.py takes, train with tools/solve.py.  Python layers whose
code says `import caffe` need
  python -m demitasse.pycaffe tools/caffe.py COMMAND --allow-python-layers ...
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="caffe.py",
        usage="caffe.py COMMAND [flags]",
        description="Train, score or time a net, as Caffe's command `caffe` does.",
        epilog=EPILOG,
    )
    p.add_argument("command", nargs="?", metavar="COMMAND", help="one of " + ", ".join(COMMANDS))

    def flag(name: str, **settings: Any) -> None:
        p.add_argument(f"-{name}", f"--{name}", **settings)

    flag("solver", default="", metavar="FILE", help="the solver's prototxt")
    flag("model", default="", metavar="FILE", help="the net's prototxt")
    flag("snapshot", default="", metavar="STATE", help="solver state to continue")
    flag("weights", default="", metavar="FILE[,FILE]", help="parameters to start from, or to score")
    flag(
        "iterations",
        type=_options.positive_int,
        default=50,
        metavar="N",
        help="passes of `test` and `time` (default 50)",
    )
    flag("phase", choices=("TRAIN", "TEST"), default="TRAIN", help="of `time` (default TRAIN)")
    flag("level", type=int, default=0, metavar="N", help="the net's level (default 0)")
    flag("stage", default="", metavar="NAME[,NAME]", help="the net's stages")
    flag(
        "adapt_classes",
        action="store_true",
        help="of -weights, take what fits of a score with another number of classes",
    )
    flag("first_of_all", action="store_true", help="let -gpu all be the first card")
    add_glog(p)
    add_verify(p)
    _signals.add_effects(p)
    _options.add_gpu(p)
    _options.add_python(p)
    _options.add_engine(p)
    _options.add_fillers(p)
    _options.add_memory(p)
    _options.add_recompute(p)
    return p


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    if args.command is None:
        parser().print_help()
        return 0
    if args.command not in COMMANDS:
        raise DemitasseError(
            f"there is no command '{args.command}'",
            expected="one of " + ", ".join(COMMANDS),
            remedy=did_you_mean(args.command, COMMANDS),
        )
    log = Glog(sys.stderr, args.minloglevel)
    if args.first_of_all:
        _device.first_of_all(args, log.own)
    if args.command == "device_query":
        log("caffe.cpp:138", f"Querying GPUs {args.gpu or ''}".rstrip())
    _device.choose(args.gpu, args.precision)
    COMMANDS[args.command](args, log)
    return 0


def needs(args: Any, *flags: str) -> None:
    """Refuse a command without these flags."""
    for name in flags:
        if not getattr(args, name):
            raise DemitasseError(
                f"`caffe {args.command}` needs -{name}",
                remedy=f"Such as: caffe {args.command}"
                + "".join(f" -{n} {EXAMPLES[n]}" for n in flags),
            )


EXAMPLES = {"solver": "solver.prototxt", "model": "net.prototxt", "weights": "net.caffemodel"}


# ---------------------------------------------------------------------- train


def train(args: Any, log: Glog) -> None:
    """Train to max_iter, or until a signal says stop."""
    from ..solvers import newest, snapshot

    needs(args, "solver")
    if args.snapshot and args.weights:
        raise DemitasseError(
            "-weights and -snapshot exclude each other",
            remedy="A snapshot brings its own parameters; leave -weights out",
        )
    source = netspec.read_solver(args.solver)
    param = source.message
    param.train_state.level = args.level
    param.train_state.stage.extend(args.stage.split(","))
    if args.snapshot or args.weights:
        param.ClearField("weights")
        param.weights.extend([netspec.in_prototxt(args.weights)] if args.weights else [])
    if param.snapshot or param.snapshot_after_train:
        check_writable(snapshot.names(param.snapshot_prefix, param.max_iter)[-1])
        with locked(param.snapshot_prefix, log.own):
            newest.remove_leftovers(param.snapshot_prefix, log.own)
            solve(source, args, log)
    else:
        solve(source, args, log)


def solve(source: netspec.Source, args: Any, log: Glog) -> None:
    """Build the solver, and run it."""
    from .. import solvers
    from ..solvers import snapshot
    from ..solvers.observer import Observers
    from ._record import RunLog, beside
    from .solve import ignored, make_built_in_data

    param = source.message
    _device.follow_mode(args, source)
    device: Any = _device.choose(args.gpu, args.precision)
    if device.on_host:
        log("caffe.cpp:197", "Use CPU.")
    else:
        log("caffe.cpp:204", f"Using GPUs {device.number}")
        log("caffe.cpp:209", f"GPU {device.number}: {device.title}")
    with contextlib.redirect_stdout(sys.stderr):  # the Fiji plugin wants stdout empty
        make_built_in_data(source)
    log(
        "solver.cpp:45", f"Initializing solver from parameters: \n{netspec.to_text(param).rstrip()}"
    )
    if args.snapshot and (seed := snapshot.seed_of(Path(args.snapshot))) is not None:
        param.random_seed = seed
    observer = SolverLog(log, param)
    options = _options.net_options(args, debug=source.message.debug_info)
    adapted = list(param.weights) if args.adapt_classes else []
    if adapted:
        param.ClearField("weights")
    record = RunLog(beside(param.snapshot_prefix), log.own)
    solver = solvers.build(source, observer=Observers(observer, record), net_options=options)
    check_learns(solver.net)
    for names in adapted:
        load_adapted(solver, names, log)
    for place, said in built(source, solver):
        log(place, said)
    log.own(f"random seed {solver.net.seed}, {solver.net.dtype.name}")
    if param.debug_info:
        solver.hooks = (*solver.hooks, DebugInfo(solver, log))
    if args.caffe_unet_2015:
        log.own(_options.FILLERS_SAID)
    for line in ignored(param, solver.net.device):
        log.own(line, "W")
    if args.snapshot:
        log("caffe.cpp:235", f"Resuming from {args.snapshot}")
        solver.restore(args.snapshot)
    observer.attach(solver)
    log("caffe.cpp:239", "Starting Optimization")
    log("solver.cpp:289", f"Solving {solver.net.name}")
    log("solver.cpp:290", f"Learning Rate Policy: {param.lr_policy}")
    effects = {signal.SIGINT: args.sigint_effect, signal.SIGHUP: args.sighup_effect}
    if param.snapshot or param.snapshot_after_train:  # beside what is written anyway
        record.begin(solver, source, options=options, snapshot=args.snapshot or None)
    with record, _signals.obeyed(solver, effects):
        solver.solve()
    if solver.stop:
        log("solver.cpp:311", "Optimization stopped early.")
    else:
        log("solver.cpp:332", "Optimization Done.")
    log("caffe.cpp:250", "Optimization Done.")


def load_adapted(solver: Solver, names: str, log: Glog) -> None:
    """Load parameter files, with the rows that fit of layers with another number of outputs."""
    from .. import weights

    for name in filter(None, (part.strip() for part in names.split(","))):
        log("solver.cpp:72", f"Finetuning from {name}")
        found, notes = weights.adapt(weights.read(name), solver.net.parameters())
        for line in (*notes, *solver.net.load(found, complete=False).table()):
            log.own(line)


def built(source: netspec.Source, solver: Solver) -> Iterator[tuple[str, str]]:
    """What Caffe says of a solver's nets as it makes them."""
    from ..solvers.build import TRAIN_FIELDS, state, test_sources, train_source

    param = source.message
    training = train_source(param, source.path, "")
    weights = [name.strip() for names in param.weights for name in names.split(",")]
    finetuning = [("solver.cpp:72", f"Finetuning from {name}") for name in weights]
    field = next(name for name in TRAIN_FIELDS if param.HasField(name))
    if field.endswith("_param"):
        said = f"Creating training net specified in {field}."
    else:
        said = f"Creating training net from {field} file: {getattr(param, field)}"
    yield f"solver.cpp:{SAID_AT[field]}", said
    train_state = state(netspec.schema.TRAIN, training, param.train_state)
    yield from lines(training, train_state, solver.net)
    yield from finetuning
    tests = test_sources(param, source.path, "", training)
    names = ["test_net_param"] * len(param.test_net_param)
    names += [f"test_net file: {name}" for name in param.test_net]
    names += [f"net file: {param.net}" if param.HasField("net") else "net_param"] * len(tests)
    for i, (test, net) in enumerate(zip(tests, solver.test_nets, strict=True)):
        yield "solver.cpp:190", f"Creating test net (#{i}) specified by {names[i]}"
        own = [param.test_state[i]] if len(param.test_state) else []
        yield from lines(test, state(netspec.schema.TEST, test, *own), net)
        yield from finetuning
    yield "solver.cpp:57", "Solver scaffolding done."


SAID_AT = {"train_net_param": 88, "train_net": 92, "net_param": 97, "net": 102}


# ---------------------------------------------------------------------- test and time


def say_device(args: Any, log: Glog, *, cpu: str, card: str) -> None:
    """What computes; cpu, card: where Caffe says so."""
    device: Any = _device.choose(args.gpu, args.precision)
    if device.on_host:
        log(cpu, "Use CPU.")
    else:
        log(card, f"Use GPU with device ID {device.number}")
        log.own(device.title)


def make_net(args: Any, log: Glog, phase: int, *, backward: bool) -> Net:
    """The net of -model in a phase, at -level, in -stage."""
    from ..net import Net
    from ..net.engines import engines
    from .solve import make_data_of

    source = netspec.read_net(args.model)
    for said in make_data_of(source):
        log.own(said)
    state = netspec.net_state(source.message, phase, args.level, args.stage.split(","))
    graph = netspec.build_in_state(source, state)
    options = _options.net_options(args, debug=source.message.debug_info)
    net = Net(graph, backward=backward, **options)
    for place, text in lines(source, state, net):
        log(place, text)
    if net.tuner is not None:
        log.own(f"engine: {engines(net)}")
    if source.message.debug_info:
        watch(net, log, lambda: True)
    return net


def test(args: Any, log: Glog, passes: Iterable[int] | None = None) -> dict[str, np.ndarray]:
    """Print every output of every batch, then the means, which are returned.  passes: numbers of
    args.iterations batches, from 0."""
    from .. import weights

    needs(args, "model", "weights")
    say_device(args, log, cpu="caffe.cpp:275", card="caffe.cpp:266")
    found = weights.read(args.weights)
    net = make_net(args, log, netspec.schema.TEST, backward=False)
    for name in found.layers:
        if name not in net.params and name not in {node.name for node in net.graph.nodes}:
            log("net.cpp:746", f"Ignoring source layer {name}")
    for name in net.load(found, complete=False).missing:
        log.own(f"layer {name} is not in {args.weights}: it keeps what its fillers made", "W")
    log("caffe.cpp:281", f"Running for {args.iterations} iterations.")
    sums: dict[str, np.ndarray] = {}
    loss, count = net.dtype.type(0), net.dtype.type(args.iterations)  # Caffe adds in float
    for i in passes or range(args.iterations):
        loss += net.dtype.type(net.forward())
        for name in net.outputs:
            data = net.read(name).ravel()
            sums[name] = sums[name] + data if i else data.copy()
            for value in data:
                log("caffe.cpp:304", f"Batch {i}, {name} = {value:g}")
    log("caffe.cpp:309", f"Loss: {loss / count:g}")
    means = {name: total / count for name, total in sums.items()}
    for name, value in elements(means, net.output_weights()):
        log("caffe.cpp:321", f"{name} = {value}")
    return means


def time(args: Any, log: Glog, passes: Iterable[int] | None = None) -> tuple[Net, np.ndarray]:
    """Print the average time of every layer, forward and backward; the net, and the milliseconds
    (layers, 2).  passes: as in `test`."""
    from ..net.timing import time_layers

    needs(args, "model")
    say_device(args, log, cpu="caffe.cpp:343", card="caffe.cpp:339")
    phase = netspec.schema.TEST if args.phase == "TEST" else netspec.schema.TRAIN
    net = make_net(args, log, phase, backward=True)
    log("caffe.cpp:351", "Performing Forward")
    log("caffe.cpp:356", f"Initial loss: {net.forward():g}")
    log("caffe.cpp:357", "Performing Backward")
    net.backward()
    log("caffe.cpp:365", "*** Benchmark begins ***")
    log("caffe.cpp:366", f"Testing for {args.iterations} iterations.")
    names = [layer.name for layer in net.layers]
    spent = np.zeros((len(names), 2))  # milliseconds forward, backward
    begun = clock.perf_counter()
    for i in passes or range(args.iterations):
        since = clock.perf_counter()
        net.clear_param_diffs()
        spent += 1e3 * np.array([times for _, *times in time_layers(net)])
        ms = 1e3 * (clock.perf_counter() - since)
        log("caffe.cpp:394", f"Iteration: {i + 1} forward-backward time: {ms:g} ms.")
    total = 1e3 * (clock.perf_counter() - begun)
    spent /= args.iterations
    log("caffe.cpp:397", "Average time per layer: ")
    for name, (forward, backward) in zip(names, spent, strict=True):
        log("caffe.cpp:400", f"{name:>10}\tforward: {forward:g} ms.")
        log("caffe.cpp:403", f"{name:>10}\tbackward: {backward:g} ms.")
    forward, backward = spent.sum(axis=0)
    log("caffe.cpp:408", f"Average Forward pass: {forward:g} ms.")
    log("caffe.cpp:410", f"Average Backward pass: {backward:g} ms.")
    log("caffe.cpp:412", f"Average Forward-Backward: {total / args.iterations:g} ms.")
    log("caffe.cpp:414", f"Total Time: {total:g} ms.")
    log("caffe.cpp:415", "*** Benchmark ends ***")
    return net, spent


def device_query(args: Any, log: Glog) -> None:
    """What computes here; Caffe's command knows of GPUs only."""
    import os

    from ._training import blas

    device = _device.choose(args.gpu, args.precision)
    if device.on_host:
        log.own(f"CPU: {os.cpu_count()} cores, {blas()}")
    else:
        log.own(f"{device.title}")


COMMANDS: dict[str, Callable[[Any, Glog], object]] = {
    "train": train,
    "test": test,
    "time": time,
    "device_query": device_query,
}
