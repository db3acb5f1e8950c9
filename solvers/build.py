"""A solver from its prototxt: which nets it names, in which state, with which seed.

Source: Caffe's Solver::InitTrainNet and Solver::InitTestNets (src/caffe/solver.cpp).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import netspec
from ..errors import SolverError, WeightsError
from ..net import Net
from ..netspec import Source
from ..weights import Report
from . import snapshot, space
from .observer import Hook, Observer
from .registry import solver_class
from .solver import Solver

TRAIN_FIELDS = ("net", "net_param", "train_net", "train_net_param")


def build(
    source: Source,
    *,
    dtype: Any = np.float32,
    folder: str = "",
    hooks: Sequence[Hook] = (),
    observer: Observer | None = None,
    poison: bool = False,
    ahead: bool = True,
    rank: int = 0,
    ranks: int = 1,
    strict: bool = False,
    net_options: Mapping[str, Any] | None = None,
) -> Solver:
    """The solver that `source` (from `netspec.read_solver`) describes, with its nets, into which
    the files that `weights` names are loaded.

    ahead: let data and augmentation run ahead of the training (net/ahead.py; the same results);
    folder: what relative paths are relative to (default: the current directory); rank, ranks: which
    of how many processes that train the net together this is; tests are its own; net_options:
    further arguments of every `Net`, as keep, allow_python or types; strict: every layer of those
    files must be in the net, and every layer of the net in one of them.  Raises SolverError,
    SpecError, GraphError, ShapeError, DataError, WeightsError or OutputError.
    """
    param, where = source.message, source.path
    cls = solver_class(param.type, where)
    snapshot.check(param, where)
    seed = param.random_seed if param.random_seed >= 0 else secrets.randbits(31)
    settings: dict[str, Any] = {"dtype": dtype, "seed": seed, "folder": folder, "poison": poison}
    settings |= net_options or {}
    training = train_source(param, where, folder)
    graph = netspec.build_in_state(
        training, state(netspec.schema.TRAIN, training, param.train_state)
    )
    ahead = ahead and not param.debug_info  # which shows every layer
    net = Net(graph, ahead=ahead, rank=rank, ranks=ranks, histories=cls.histories, **settings)
    tests = []
    for i, test in enumerate(test_sources(param, where, folder, training)):
        own = [param.test_state[i]] if i < len(param.test_state) else []
        graph = netspec.build_in_state(test, state(netspec.schema.TEST, test, *own))
        # a card records a pass only where what reads data is outside it
        early = ahead and not net.device.on_host
        tests.append(Net(graph, share=net, ahead=early, **settings))
    solver = cls(param, net, tests, hooks=hooks, observer=observer, where=where)
    space.check_size(solver)
    reports = []
    for name in weight_files(param):
        reports.append(solver.load_weights(Path(folder) / name))
        for line in reports[-1].table():
            solver.observer.said(line)
    if strict:
        check_strict(reports)
    return solver


def check_strict(reports: Sequence[Report]) -> None:
    """Raise WeightsError where a layer of the net got no parameters, or one of a file went
    nowhere."""
    lacking = set.intersection(*(set(r.missing) for r in reports)) if reports else set()
    unused = [f"layer {name} of {r.path}" for r in reports for name in r.unused]
    if lacking or unused:
        raise WeightsError(
            "the parameter files and the net do not have the same layers",
            where=", ".join(r.path for r in reports),
            expected=f"parameters for {', '.join(sorted(lacking))}" if lacking else None,
            found=f"{', '.join(unused[:8])}, which the net lacks" if unused else None,
            remedy="Rename the layers, or leave --strict out",
        )


def weight_files(param: Any) -> list[str]:
    """The files that `weights` names: it may come several times, and each hold a list."""
    return [name.strip() for names in param.weights for name in names.split(",") if name.strip()]


def state(phase: int, source: Source, *states: Any) -> Any:
    """The solver's default phase, overridden by the net's own state, overridden by the solver's."""
    default = netspec.schema.NetState(phase=phase)
    return netspec.merged_states(default, source.message.state, *states)


def train_source(param: Any, where: str, folder: str) -> Source:
    """The training net; exactly one field must name it."""
    given = [name for name in TRAIN_FIELDS if param.HasField(name)]
    if len(given) != 1:
        raise SolverError(
            "must name one training net",
            where=where,
            expected="one of " + ", ".join(TRAIN_FIELDS),
            found=" and ".join(given) or "none",
            remedy='Add a line such as net: "models/unet.prototxt"' if not given else "",
        )
    return read(getattr(param, given[0]), where, folder)


def test_sources(param: Any, where: str, folder: str, training: Source) -> list[Source]:
    """The test nets: test_net_param, test_net, then `net` for the test_iter entries left over."""
    found = [read(net, where, folder) for net in (*param.test_net_param, *param.test_net)]
    if param.HasField("net") or param.HasField("net_param"):
        found += [training] * (len(param.test_iter) - len(found))
    if len(param.test_state) not in (0, len(found)):
        raise SolverError(
            "there must be a test_state for each test net, or none",
            where=where,
            expected=str(len(found)),
            found=str(len(param.test_state)),
        )
    return found


def read(net: Any, where: str, folder: str) -> Source:
    """A net named by a path or written inline."""
    if isinstance(net, str):
        return netspec.read_net(str(Path(folder) / net))
    return netspec.parse_net(netspec.to_text(net), where)
