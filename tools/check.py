"""Check a net before it runs: `python tools/check.py models/unet.prototxt`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("check")

import contextlib
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from .. import netspec
from ..errors import (
    DataError,
    DemitasseError,
    GraphError,
    LeftOutError,
    ShapeError,
    SolverError,
    counted,
)
from ..layers.base import Context, Shape
from ..net.exchange import unlike
from ..net.inference import Inferred, build_layers
from ..net.origin import fed
from ..net.suggest import infer_or_suggest
from . import _options
from ._model import net_in
from ._table import Table, show
from .plan import image_in, training_graph

EPILOG = """\
examples:
  python tools/check.py models/unet.prototxt
        errors with line and column, tops that no layer reads, and the sizes of all blobs
  python tools/check.py models/solver.prototxt --quiet
        all nets that a solver names; without the sizes

No array is allocated.  Where the data that a net names are not there, their sizes are taken from
what it says of them, such as crop_size, or of the tile that it is made for.  Where it says nothing
they are guessed, and what does not fit then is a warning.  The exit code is 2 where there is an
error, 0 where there are at most warnings.
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="check.py", description="Find what is wrong in a net's prototxt.", epilog=EPILOG
    )
    p.add_argument(
        "net",
        metavar="NET",
        help="prototxt of a net, for training too, or of a solver; or a model such as unet.h5",
    )
    p.add_argument("--quiet", action="store_true", help="errors and warnings alone")
    _options.add_python(p)
    return p


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    context = Context(allow_python=args.allow_python_layers)
    errors: list[str] = []
    warnings: list[str] = []
    if netspec.is_solver(args.net):
        solver = netspec.read_solver(args.net)
        nets: list[tuple[netspec.Source, Any]] = []
        tests = len(solver.message.test_iter)
        try:
            nets.extend(solver_nets(solver))
            tests = len(nets) - 1
        except DemitasseError as error:
            errors.append(str(placed(error, solver)))
        errors += solver_errors(solver, tests)
        checked = [Checked(source, state, context) for source, state in nets]
    else:
        net = net_in(args.net)
        checked = [Checked(net, state, context) for state in both_phases(net)]
        unmeant(checked)
    for found in checked:
        found.errors += unshared(checked[0], found)  # training's comes first
        errors += [e for e in found.errors if e not in errors]
        warnings += [w for w in found.warnings if w not in warnings]
    if not args.quiet:
        show_sizes(checked)
    for text in errors:
        print(f"error: {text}", file=sys.stderr)
    for text in warnings:
        print(f"warning: {text}", file=sys.stderr)
    print(f"{args.net}: {counted(len(errors), 'error')}, {counted(len(warnings), 'warning')}")
    return 2 if errors else 0


def both_phases(net: netspec.Source) -> Iterator[Any]:
    """The states that a net has by itself."""
    for phase in (netspec.schema.TRAIN, netspec.schema.TEST):
        yield netspec.net_state(net.message, phase)


def solver_nets(solver: netspec.Source) -> Iterator[tuple[netspec.Source, Any]]:
    """The nets of a solver, that of training first, in the states that it gives them."""
    from ..solvers.build import state, test_sources, train_source

    param, path = solver.message, solver.path
    training = train_source(param, path, "")
    yield training, state(netspec.schema.TRAIN, training, param.train_state)
    for i, test in enumerate(test_sources(param, path, "", training)):
        yield test, state(netspec.schema.TEST, test, *param.test_state[i : i + 1])


def solver_errors(solver: netspec.Source, tests: int) -> Iterator[str]:
    """What training would refuse of a solver's own settings, the first of each kind; tests: how
    many nets it has for them."""
    from ..solvers import checks, lr_policy
    from ..solvers.registry import solver_class

    param, path = solver.message, solver.path
    refusals: tuple[Callable[[], None], ...] = (
        lambda: solver_class(param.type, path).check_fields(param, path),
        lambda: lr_policy.check(param, path),
        lambda: checks.check(param, range(tests), path),
    )
    for refuse in refusals:
        try:
            refuse()
        except SolverError as error:
            yield str(placed(error, solver))


def placed(error: DemitasseError, solver: netspec.Source) -> DemitasseError:
    """The refusal of a solver's setting, with the place of the first field that it names."""
    if error.where == solver.path and solver.root is not None:
        words = re.findall(r"\w+", error.what)
        named = next((word for word in words if solver.root.find(word)), None)
        if named is not None:
            error.where = solver.where(None, named)
    return error


def unmeant(checked: Sequence[Checked]) -> None:
    """Let the errors of a phase be warnings, if layers that it reads are left out of it and the
    net is sound in the other: it is meant for that one alone."""
    for one, other in (checked, reversed(checked)):
        if one.left_out and not other.errors:
            one.warnings += [f"{e} It is sound in {other.phase}." for e in one.errors]
            one.errors.clear()


class Checked:
    """What is right and wrong with a net in a state (NetState)."""

    def __init__(self, source: netspec.Source, state: Any, context: Context) -> None:
        self.source, self.state, self.context = source, state, context
        self.phase = netspec.schema.phase_name(state.phase)
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.graph: netspec.Graph | None = None
        self.inferred: Inferred | None = None
        self.absent = False  # are data that it names?
        self.given = False  # is its image, from outside?
        self.guess = ""  # what nobody tells of its image
        self.left_out = False  # is a layer that it reads, of this state?
        try:
            self.graph = self.build()
        except DemitasseError as error:
            self.left_out = isinstance(error, LeftOutError)
            self.errors.append(str(error))
            return
        lacking = False  # a file of another layer?
        for node in self.graph.nodes:  # one by one, to find the errors of all
            try:
                build_layers(replace(self.graph, nodes=(node,)), context)
            except DemitasseError as error:
                if not isinstance(error, DataError) and not error.absent:
                    self.errors.append(str(error))
                    continue
                said = f"{node.where}: layer '{node.name}' ({node.type}): {error}"
                if error.absent:
                    made = built_in(node.layer.hdf5_data_param.source)
                    unsaid = " So its sizes are not checked." * (not netspec.is_data(node.layer))
                    self.warnings.append(f"{said}{' The first training makes it.' * made}{unsaid}")
                    self.absent |= netspec.is_data(node.layer)
                    lacking |= not netspec.is_data(node.layer)
                else:
                    self.errors.append(said)
        self.warnings += unread(self.graph)
        if self.errors or lacking:
            return
        try:
            self.infer()
        except ShapeError as error:
            guess = f" But {self.guess} is a guess, for want of its data." if self.guess else ""
            (self.warnings if guess else self.errors).append(f"{error}{guess}")
        except DemitasseError as error:
            self.errors.append(str(error))

    def build(self) -> netspec.Graph:
        """The graph; of a net that gets its image from outside in the TEST phase, as the nets of
        2015 do, what is deployed."""
        try:
            return netspec.build_in_state(self.source, self.state)
        except GraphError as error:
            if self.phase == "TEST":
                with contextlib.suppress(DemitasseError):
                    graph = self.deployed()
                    self.given = True
                    return graph
            raise error

    def deployed(self) -> netspec.Graph:
        """What is deployed of it, for the batch that it reads, as far as it tells."""
        image, state = image_in(self.source, self.state), self.state
        self.guess = image.guess
        source = netspec.deployed(
            self.source,
            shape={image.blob: image.read},
            softmax=False,
            level=state.level,
            stages=state.stage,
        )
        return netspec.build(source, "TEST")

    def infer(self) -> None:
        """Sizes; where the data are not there, of what the net says of them."""
        assert self.graph is not None
        if self.absent:
            try:
                deployed = self.deployed()
            except GraphError:
                return  # nothing to segment with, and no data: there are no sizes to tell
            shapes = self.infer_of(deployed).values
            graph = training_graph(self.source, deployed, shapes, state=self.state)
            self.graph = graph or deployed
        self.inferred = self.infer_of(self.graph)

    def infer_of(self, graph: netspec.Graph) -> Inferred:
        return infer_or_suggest(graph, build_layers(graph, self.context))

    def params(self) -> dict[str, tuple[Shape, ...]]:
        """Shapes of the parameters of every layer."""
        assert self.graph is not None and self.inferred is not None
        pairs = zip(self.graph.nodes, self.inferred.needs, strict=True)
        return {node.name: needs.params for node, needs in pairs}

    def read(self) -> str:
        """The file of the images, and their channels."""
        assert self.graph is not None
        return fed(self.graph, build_layers(self.graph, self.context))

    def sizes(self) -> list[tuple[str, ...]]:
        """A row for each layer: name, type, tops, parameters; none of a net that is not sound."""
        if self.graph is None or self.inferred is None:
            return []
        rows: list[tuple[str, ...]] = []
        for node, needs in zip(self.graph.nodes, self.inferred.needs, strict=True):
            if node.type == "Split":
                continue
            count = sum(math.prod(param) for param in needs.params)
            tops = [f"{v.blob} {'x'.join(map(str, self.inferred.values[v]))}" for v in node.tops]
            rows.append((node.name, node.type, ", ".join(tops), f"{count:,}" if count else ""))
        return rows

    def title(self) -> str:
        """What the sizes are of, without the phase."""
        return (self.graph.name if self.graph else "") or self.source.path


def show_sizes(checked: Sequence[Checked]) -> None:
    """A table of every net, one for those that are alike, such as a net to deploy in each phase."""
    alike: dict[tuple[str, str, tuple[tuple[str, ...], ...]], list[Checked]] = {}
    for one in checked:
        alike.setdefault((one.title(), one.guess, tuple(one.sizes())), []).append(one)
    for (title, guess, rows), nets in alike.items():
        if rows:
            phases = " and ".join(dict.fromkeys(one.phase for one in nets))
            print(f"{title}, {phases}" + (f"; a guess: {guess}" if guess else ""))
            show(Table(("layer", "type", "tops", "parameters"), rows))
            print()


def unshared(training: Checked, test: Checked) -> Iterator[str]:
    """An error where a test net cannot have the training net's parameters, as far as both nets'
    data are there."""
    if not all(one.inferred and not one.absent and not one.given for one in (training, test)):
        return
    theirs, mine = training.params(), test.params()
    for name, found in mine.items():
        expected = theirs.get(name, found)
        if expected != found:
            path = test.source.path
            yield str(unlike(name, path, (expected, found), training.read(), test.read()))
            return  # as training, which names one


def built_in(source: str) -> bool:
    """Whether training makes this data set where it is not there."""
    from ..data import synthetic, volumes

    return any(made.built_in(source) is not None for made in (synthetic, volumes))


def unread(graph: netspec.Graph) -> Iterator[str]:
    """A warning for each top that no layer reads, in a net with a loss; its losses and metrics
    apart."""
    from ..netspec.deploy import SINKS

    if not any("Loss" in node.type for node in graph.nodes):
        return  # what nobody reads is then the result
    for node in graph.nodes:
        weighted = any(node.layer.loss_weight)
        for top in node.tops:
            if top in graph.outputs and node.type not in SINKS and not weighted:
                made = f"a top of '{node.name}' ({node.type})"
                yield f"{node.where}: no layer reads '{top.blob}', {made}"
