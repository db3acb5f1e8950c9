"""Snapshots: parameters and solver state, in the format that `snapshot_format` names.

    BINARYPROTO (Caffe's default)    <prefix>_iter_<n>.caffemodel       .solverstate
    HDF5                             <prefix>_iter_<n>.caffemodel.h5    .solverstate.h5

Both have Caffe's layout, so Caffe reads them; what Caffe does not keep (position in the data,
random streams, recent losses) is added where Caffe does not look (weights/solverstate.py).  With it
a resumed run repeats an uninterrupted one bit by bit; a state written by Caffe itself resumes as
Caffe does, from the first row of the data.  A state also keeps the fingerprint of its parameters,
so those of another run are not taken for them.  What a file is is told by its content.

Source: Caffe's Solver::Snapshot and Restore (src/caffe/solver.cpp) and SGDSolver's
(src/caffe/solvers/sgd_solver.cpp).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import weights
from ..errors import OutputError, SolverError, counted
from ..files import check_writable
from ..net.saving import save_caffemodel, save_hdf5

if TYPE_CHECKING:
    from ..net.params import Param
    from ..weights import State, Weights
    from .solver import Solver

HDF5 = 0  # SolverParameter.SnapshotFormat; the other is BINARYPROTO


def names(prefix: str, iteration: int, *, hdf5: bool = False) -> tuple[Path, Path]:
    """Paths of the parameters and of the solver state."""
    stem, end = f"{prefix}_iter_{iteration}", ".h5" if hdf5 else ""
    return Path(f"{stem}.caffemodel{end}"), Path(f"{stem}.solverstate{end}")


def check(param: Any, where: str) -> None:
    """Refuse before iteration 0 what could not be written later."""
    if not param.snapshot:
        return
    if not param.HasField("snapshot_prefix"):
        raise SolverError(
            "has snapshot but no snapshot_prefix",
            where=where,
            remedy='Add a line such as snapshot_prefix: "unet"',
        )
    check_writable(names(param.snapshot_prefix, 0)[1])


def seed_of(path: Path) -> int | None:
    """The random seed of the run that wrote a state; None where Caffe wrote it."""
    seed = weights.read_state(path).extra.get("seed")
    return None if seed is None else int(seed)


def write(solver: Solver) -> Path:
    """Write both files, the state last: a state on disk always has its parameters.  Where there is
    no room for it, the parameters' is given back to the smaller files that follow, and an older
    state of that name goes with it."""
    param, net = solver.param, solver.net
    hdf5 = param.snapshot_format == HDF5
    model, state = names(param.snapshot_prefix, solver.iter, hdf5=hdf5)
    (save_hdf5 if hdf5 else save_caffemodel)(net, model, diff=param.snapshot_diff)
    extra = {
        "solver": solver.type,
        "seed": int(net.seed),
        "precision": net.device.precision,
        "ranks": net.ranks,
        "losses": [float(loss) for loss in solver.losses],
        "layers": net.state(),
        "test_layers": [test.state() for test in solver.test_nets],
        "parameters": weights.fingerprint(net.owned_parameters() if hdf5 else net.parameters()),
    }
    history = [net.device.host(view).reshape(p.shape) for view, p in remembered(solver)]
    found = weights.State(solver.iter, solver.current_step, str(model), history, extra)
    try:
        (weights.write_hdf5_state if hdf5 else weights.write_binary_state)(state, found)
    except OutputError:
        for path in (state, model):
            path.unlink(missing_ok=True)
        raise
    return state


def remembered(solver: Solver) -> Iterator[tuple[np.ndarray, Param]]:
    """What the solver remembers, flat, and of which parameter: all of one kind, then the next."""
    for flat in solver.history:
        for p in solver.net.learnable:
            yield flat[p.offset : p.offset + p.count], p


def load(path: Path) -> tuple[State, Weights | None]:
    """A state and its parameters, if it names any; an error where either is damaged or missing."""
    state = weights.read_state(path)
    return state, parameters(path, state)


def parameters(path: Path, state: State) -> Weights | None:
    """What the file that a state names holds."""
    if not state.learned_net:
        return None
    found = weights.read(beside(path, state.learned_net))
    if state.extra.get("parameters", "") not in ("", weights.fingerprint(found.layers)):
        raise SolverError(
            "does not belong to the parameters beside it, which are of another run or were changed",
            where=str(path),
            found=found.path,
            remedy=f"Take an earlier snapshot, or start anew from these: -weights {found.path}",
        )
    return found


def read(solver: Solver, path: Path) -> None:
    """Restore parameters, history and position; raises SolverError where they do not fit."""
    state = weights.read_state(path)
    same_seed = check_fits(solver, state, str(path))
    found = parameters(path, state)
    if found is not None:
        solver.net.load(found, complete=False)
    for (view, _), array in zip(remembered(solver), state.history, strict=True):
        solver.net.device.write(view, array.ravel())
    solver.iter, solver.current_step = state.iter, state.current_step
    if not state.learned_net:
        solver.observer.said(f"{path} names no parameters: they stay as they are")
    if not state.extra:
        solver.observer.said(
            f"{path} was written by Caffe, which does not keep the position in the data:"
            " reading starts at the first row"
        )
        return
    if not same_seed:
        solver.observer.said(
            f"{path} was written by a run with the random seed {state.extra['seed']}; this run has"
            " another, so what is random goes on differently"
        )
    before, here = state.extra.get("precision", "cpu"), solver.net.device.precision
    if before != here:
        solver.observer.said(
            f"{path} was computed in precision {before}; this run computes in {here}, so it goes"
            " on, but not bit for bit"
        )
    wrote, now = state.extra.get("ranks", 1), solver.net.ranks
    if wrote != now:
        solver.observer.said(
            f"{path} was written by {counted(wrote, 'process')}; this run has"
            f" {counted(now, 'process')}: the data go on where they were, but an iteration sees"
            " another number of batches"
        )
    solver.losses.clear()
    solver.losses.extend(state.extra["losses"])
    try:
        solver.net.load_state(state.extra["layers"])
        for net, position in zip(solver.test_nets, state.extra["test_layers"], strict=False):
            net.load_state(position)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise SolverError(
            f"is damaged: a layer cannot go on from what it keeps ({error})", where=str(path)
        ) from error


def check_fits(solver: Solver, state: State, where: str) -> bool:
    """Refuse the state of another net, solver or seed; return whether the seed is the same (it may
    differ where the prototxt gives none, and this run's was drawn)."""
    wrote = state.extra.get("solver", solver.type)
    if wrote != solver.type:
        raise SolverError(
            "was written by another solver",
            where=where,
            expected=solver.type,
            found=str(wrote),
            remedy="Set the same type in the solver's prototxt",
        )
    seed = int(state.extra.get("seed", solver.net.seed))
    if seed != solver.net.seed and solver.param.random_seed >= 0:
        raise SolverError(
            "was written by a run with another random seed, so it cannot be continued exactly",
            where=where,
            expected=str(solver.net.seed),
            found=str(seed),
            remedy=f"Continue with --seed {seed}",
        )
    expected = [p for _, p in remembered(solver)]
    if len(state.history) != len(expected):
        raise SolverError(
            "belongs to another net or solver: the number of history blobs differs",
            where=where,
            expected=str(len(expected)),
            found=str(len(state.history)),
        )
    for p, array in zip(expected, state.history, strict=True):
        if without_ones(array.shape) != without_ones(p.shape):  # old files have four axes
            raise SolverError(
                f"belongs to another net: the history of {p.layer}/{p.index} differs",
                where=where,
                expected=" x ".join(map(str, p.shape)),
                found=" x ".join(map(str, array.shape)),
            )
    return seed == solver.net.seed


def without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def beside(state: Path, learned: str) -> Path:
    """Where the parameters of a state are: beside it, or as stored if they were not moved."""
    places = (state.parent / Path(learned).name, Path(learned))
    for path in places:
        if path.exists():
            return path
    raise SolverError(
        "names parameters that are not there",
        where=str(state),
        expected=" or ".join(dict.fromkeys(map(str, reversed(places)))),
        remedy=f"Put {Path(learned).name} beside the state",
    )


def kept(solver: Solver) -> str:
    """Which snapshot holds the progress."""
    last = solver.last_snapshot
    return f"the last good snapshot is {last}" if last else "no snapshot had been written yet"
