"""Check a net before it runs: `python tools/check.py models/unet.prototxt`."""

from __future__ import annotations

if not __package__:  # run as a script
    import _root  # type: ignore[import-not-found]

    _root.run("check")

import contextlib
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from .. import netspec
from ..errors import DataError, DemitasseError, GraphError, SpecError
from ..layers.base import Context, Shape
from ..net.exchange import unlike
from ..net.inference import Inferred, build_layers
from ..net.origin import fed
from ..net.suggest import infer_or_suggest
from . import _options
from ._table import Table, show
from .plan import image_shape, training_graph

EPILOG = """\
examples:
  python tools/check.py models/unet.prototxt
        errors with line and column, tops that no layer reads, and the sizes of all blobs
  python tools/check.py models/solver.prototxt --quiet
        all nets that a solver names; without the sizes

No array is allocated.  Where the data that a net names are not there, their sizes are taken from
the tile that it is made for.  The exit code is 2 where there is an error, 0 where there are at most
warnings.
"""
PHASES = ("TRAIN", "TEST")


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="check.py", description="Find what is wrong in a net's prototxt.", epilog=EPILOG
    )
    p.add_argument("net", metavar="NET", help="prototxt of a net, for training too, or of a solver")
    p.add_argument("--quiet", action="store_true", help="errors and warnings alone")
    _options.add_python(p)
    return p


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    context = Context(allow_python=args.allow_python_layers)
    errors: list[str] = []
    warnings: list[str] = []
    training = None
    for source, phases in nets(args.net):
        for phase in phases:
            found = Checked(source, phase, context)
            training = training or found  # it comes first
            found.errors += unshared(training, found)
            errors += [e for e in found.errors if e not in errors]
            warnings += [w for w in found.warnings if w not in warnings]
            if not args.quiet:
                found.show()
    for text in errors:
        print(f"error: {text}", file=sys.stderr)
    for text in warnings:
        print(f"warning: {text}", file=sys.stderr)
    print(f"{args.net}: {_count(errors, 'error')}, {_count(warnings, 'warning')}")
    return 2 if errors else 0


def nets(path: str) -> Iterator[tuple[netspec.Source, Sequence[str]]]:
    """The net of a file in both phases, or those of a solver in theirs."""
    try:
        yield netspec.read_net(path), PHASES
        return
    except SpecError as error:
        try:
            solver = netspec.read_solver(path)
        except SpecError:
            raise error from None
    from ..solvers.build import test_sources, train_source

    training = train_source(solver.message, path, "")
    yield training, ("TRAIN",)
    for test in test_sources(solver.message, path, "", training):
        yield test, ("TEST",)


class Checked:
    """What is right and wrong with a net in a phase."""

    def __init__(self, source: netspec.Source, phase: str, context: Context) -> None:
        self.source, self.phase, self.context = source, phase, context
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.graph: netspec.Graph | None = None
        self.inferred: Inferred | None = None
        self.absent = False  # are data that it names?
        self.given = False  # is its image, from outside?
        try:
            self.graph = self.build()
        except DemitasseError as error:
            self.errors.append(str(error))
            return
        for node in self.graph.nodes:  # one by one, to find the errors of all
            try:
                build_layers(replace(self.graph, nodes=(node,)), context)
            except DataError as error:
                said = f"{node.where}: layer '{node.name}' ({node.type}): {error}"
                if error.what.startswith("does not exist"):
                    self.absent = True
                    made = built_in(node.layer.hdf5_data_param.source)
                    self.warnings.append(said + " The first training makes it." * made)
                else:
                    self.errors.append(said)
            except DemitasseError as error:
                self.errors.append(str(error))
        self.warnings += unread(self.graph)
        if not self.errors:
            try:
                self.infer()
            except DemitasseError as error:
                self.errors.append(str(error))

    def build(self) -> netspec.Graph:
        """The graph; of a net that gets its image from outside in the TEST phase, as the nets of
        2015 do, what is deployed."""
        try:
            return netspec.build(self.source, self.phase)
        except GraphError as error:
            if self.phase == "TEST":
                with contextlib.suppress(DemitasseError):
                    graph = self.deployed()
                    self.given = True
                    return graph
            raise error

    def deployed(self) -> netspec.Graph:
        message = netspec.deploy(self.source, shape=image_shape(self.source), softmax=False)
        return netspec.build(netspec.Source(self.source.path, message), "TEST")

    def infer(self) -> None:
        """Sizes; where the data are not there, for the tile that the net is made for."""
        assert self.graph is not None
        if self.absent:
            try:
                deployed = self.deployed()
            except GraphError:
                return  # nothing to segment with, and no data: there are no sizes to tell
            shapes = self.infer_of(deployed).values
            graph = training_graph(self.source, deployed, shapes, self.phase)
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

    def show(self) -> None:
        """The sizes, a line for each layer."""
        if self.graph is None or self.inferred is None:
            return
        rows = []
        for node, needs in zip(self.graph.nodes, self.inferred.needs, strict=True):
            if node.type == "Split":
                continue
            count = sum(math.prod(param) for param in needs.params)
            tops = [f"{v.blob} {'x'.join(map(str, self.inferred.values[v]))}" for v in node.tops]
            rows.append((node.name, node.type, ", ".join(tops), f"{count:,}" if count else ""))
        name = self.graph.name or self.source.path
        print(f"{name}, {self.phase}")
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


def _count(found: Sequence[Any], what: str) -> str:
    return f"{len(found)} {what}{'' if len(found) == 1 else 's'}"
