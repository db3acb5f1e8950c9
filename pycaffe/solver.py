"""Solvers: SGDSolver("solver.prototxt").solve(), or step by step.

A class decides which method is used, whatever the file's `type` says; get_solver follows the file.

Source: Caffe's python/caffe/_caffe.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Self

from .. import netspec, solvers
from ..errors import DeviceError, SolverError
from ..netspec import Source
from ..solvers import lr_policy
from ..tools._debug import DebugInfo
from . import settings
from .glog import solver_log
from .net import Net, check_file, options


class _Callbacks(solvers.Hook):
    """A script's functions, in the order they were added; then nets follow what these reshaped."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Callable[[], object], Callable[[], object]]] = []
        self.nets: list[Net] = []

    def on_start(self) -> None:
        for start, _ in self.pairs:
            start()
        for net in self.nets:
            net.reshape()

    def on_gradients_ready(self) -> None:
        for _, ready in self.pairs:
            ready()

    def looks(self) -> bool:
        return bool(self.pairs)


class Solver:
    """A training net, its test nets, and how it learns.  Base of the solvers below."""

    _type: ClassVar[str] = ""
    _engine: solvers.Solver

    def __init__(self, param_file: str) -> None:
        check_file(param_file)
        self._start(netspec.read_solver(param_file))

    def _start(self, source: Source) -> None:
        param = source.message
        param.type = self._type
        seed = {"seed": settings.next_seed()} if param.random_seed < 0 else {}
        self._endless = not param.HasField("max_iter")
        if self._endless:  # a script may make its own steps
            param.max_iter = (1 << 31) - 1
            param.gamma = param.gamma  # said: it may end before a missing one matters
        self._callbacks = _Callbacks()
        observer = solver_log(param)
        asked = {**options(debug=param.debug_info), **seed}
        self._engine = solvers.build(
            source, hooks=[self._callbacks], observer=observer, net_options=asked
        )
        observer.attach(self._engine)
        if param.debug_info:
            shown = DebugInfo(self._engine, observer.log)
            self._engine.hooks = (*self._engine.hooks, shown)
        self.net = Net.of(self._engine.net)
        self.test_nets = [Net.of(net) for net in self._engine.test_nets]
        self._nets = self._callbacks.nets = [self.net, *self.test_nets]

    @classmethod
    def _of(cls, source: Source) -> Self:
        solver = cls.__new__(cls)
        solver._start(source)
        return solver

    @property
    def iter(self) -> int:
        """Updates made so far."""
        return self._engine.iter

    @property
    def param(self) -> Any:
        """The SolverParameter: max_iter, display, base_lr ...  base_lr may be set."""
        return self._engine.param

    def step(self, iterations: int) -> None:
        """Make this many iterations."""
        self._settle()
        with self._computing():
            self._engine.step(iterations)

    def solve(self, resume_file: str | None = None) -> None:
        """Run to max_iter, from a solver state if one is given."""
        if self._endless:
            raise SolverError(
                "solve() needs max_iter",
                where=self._engine.where,
                remedy="Add a line such as max_iter: 10000, or call step(n)",
            )
        if resume_file:
            self.restore(resume_file)
        self._settle()
        with self._computing():
            self._engine.solve()

    def apply_update(self) -> None:
        """One update from the gradients that stand in the parameters' diffs."""
        with self._computing():
            self._engine.apply_update(self._engine.gradient_norm())
        self._engine.iter += 1

    def snapshot(self) -> None:
        """Write parameters and solver state."""
        with self._computing():
            self._engine.snapshot()

    def restore(self, state_file: str) -> None:
        """Continue from a solver state."""
        check_file(state_file)
        with self._computing():
            self._engine.restore(state_file)

    def share_weights(self, net: Net) -> None:
        """Let a net use the training net's parameters."""
        net.share_with(self.net)

    def add_callback(
        self, on_start: Callable[[], object], on_gradients_ready: Callable[[], object]
    ) -> None:
        """Call these before each iteration's forward pass, and before its update."""
        between = self.net._twins.between
        self._callbacks.pairs.append((between(on_start), between(on_gradients_ready)))

    def _settle(self) -> None:
        for net in self._nets:
            net.reshape()

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Its nets compute inside; they share a device."""
        with self.net._twins.computing():
            yield
        for net in self._nets:
            net._arrays.show(0, len(net.layers))


class SGDSolver(Solver):
    _type = "SGD"

    @property
    def lr(self) -> float:
        """The learning rate of the next update.  Reading it changes nothing (in Caffe it moves
        `multistep` on)."""
        engine = self._engine
        rate, _ = lr_policy.learning_rate(
            engine.param, engine.iter, engine.current_step, engine.net.dtype
        )
        return rate


class NesterovSolver(SGDSolver):
    _type = "Nesterov"


class AdaGradSolver(SGDSolver):
    _type = "AdaGrad"


class RMSPropSolver(SGDSolver):
    _type = "RMSProp"


class AdaDeltaSolver(SGDSolver):
    _type = "AdaDelta"


class AdamSolver(SGDSolver):
    _type = "Adam"


CLASSES: dict[str, type[SGDSolver]] = {
    cls._type: cls
    for cls in (
        SGDSolver,
        NesterovSolver,
        AdaGradSolver,
        RMSPropSolver,
        AdaDeltaSolver,
        AdamSolver,
    )
}


def get_solver(param_file: str) -> SGDSolver:
    """The solver that a file's `type` names."""
    check_file(param_file)
    source = netspec.read_solver(param_file)
    name = source.message.type
    if name not in CLASSES:
        solvers.registry.solver_class(name, source.where(None, "type"))  # refuses it, in words
    return CLASSES[name]._of(source)


class NCCL:
    """Several GPUs: not here, as in a Caffe built without it (`has_nccl()` is False).  A script's
    process computes alone, on one card; those of tools/solve.py may join."""

    def __init__(self, solver: Solver, uid: bytes) -> None:
        raise _no_nccl()

    @staticmethod
    def new_uid() -> bytes:
        raise _no_nccl()


def _no_nccl() -> DeviceError:
    return DeviceError(
        "NCCL sums over several GPUs, but a script's process computes alone, on one",
        remedy="On four GPUs trains: mpiexec -n 4 python -m mpi4py "
        '"$(command -v demitasse)" train SOLVER -gpu auto'
        " (docs/scaling.md); here, without NCCL: solver.solve()",
    )
