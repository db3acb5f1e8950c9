"""Snapshots: `<prefix>_iter_<n>.caffemodel.h5` and `<prefix>_iter_<n>.solverstate.h5`.

The state file has Caffe's layout (/iter, /learned_net, /current_step, /history/<i>), so Caffe reads
it; what Caffe does not keep (position in the data, random streams, recent losses) is added as
attributes of /demitasse, which Caffe ignores.  With it a resumed run repeats an uninterrupted one
bit by bit; a state written by Caffe itself resumes as Caffe does, from the first row of the data.

Source: Caffe's SGDSolver::SnapshotSolverStateToHDF5 (src/caffe/solvers/sgd_solver.cpp).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import weights
from ..errors import SolverError, WeightsError
from ..h5 import create_h5, members, open_h5, read_dataset

if TYPE_CHECKING:
    from .solver import Solver

GROUP = "demitasse"


def names(prefix: str, iteration: int) -> tuple[Path, Path]:
    """Paths of the parameters and of the solver state."""
    stem = f"{prefix}_iter_{iteration}"
    return Path(f"{stem}.caffemodel.h5"), Path(f"{stem}.solverstate.h5")


def seed_of(path: Path) -> int | None:
    """The random seed of the run that wrote a state; None where Caffe wrote it."""
    with open_h5(path, error=WeightsError) as file:
        if GROUP not in members(file, error=WeightsError) or "seed" not in file[GROUP].attrs:
            return None
        return int(file[GROUP].attrs["seed"])


def write(solver: Solver) -> Path:
    """Write both files, the state last: a state on disk always has its parameters."""
    model, state = names(solver.param.snapshot_prefix, solver.iter)
    weights.write_hdf5(model, solver.net.owned_parameters())
    with create_h5(state) as file:
        file["iter"] = np.array([solver.iter], np.int32)
        file["current_step"] = np.array([solver.current_step], np.int32)
        name = str(model).encode() + b"\0"
        file.create_dataset("learned_net", data=np.array(name, dtype=f"S{len(name)}"))
        history = file.create_group("history")
        for h, flat in enumerate(solver.history):
            for i, p in enumerate(solver.net.learnable):
                array = flat[p.offset : p.offset + p.count].reshape(p.shape)
                history[str(h * len(solver.net.learnable) + i)] = array
        extra = file.create_group(GROUP)
        extra.attrs["solver"] = solver.type
        extra.attrs["seed"] = np.int64(solver.net.seed)
        extra.attrs["losses"] = np.array(solver.losses, np.float64)
        extra.attrs["layers"] = json.dumps(solver.net.state())
        extra.attrs["test_layers"] = json.dumps([net.state() for net in solver.test_nets])
    return state


def read(solver: Solver, path: Path) -> None:
    """Restore parameters, history and position; raises SolverError where they do not fit."""
    if path.name.endswith(".solverstate"):
        raise SolverError(
            "is a binary solver state, which this version does not read",
            where=str(path),
            expected="a .solverstate.h5 (snapshot_format: HDF5)",
        )
    if path.name.endswith((".caffemodel", ".caffemodel.h5")):
        raise SolverError(
            "holds parameters, not a solver state",
            where=str(path),
            remedy="To continue a training give its state, "
            f"{str(path).replace('caffemodel', 'solverstate')}; to start one from these parameters"
            f" use --weights {path}",
        )
    with open_h5(path, error=WeightsError) as file:
        there = members(file, error=WeightsError)
        for name in ("iter", "learned_net", "history"):
            if name not in there:
                raise SolverError(
                    f"is not a solver state: it has no /{name}",
                    where=str(path),
                    found=", ".join(there),
                )
        extra = dict(file[GROUP].attrs) if GROUP in there else {}
        if extra.get("solver", solver.type) != solver.type:
            raise SolverError(
                "was written by another solver",
                where=str(path),
                expected=solver.type,
                found=str(extra["solver"]),
                remedy="Set the same type in the solver's prototxt",
            )
        if int(extra.get("seed", solver.net.seed)) != solver.net.seed:
            raise SolverError(
                "was written by a run with another random seed, so it cannot be continued exactly",
                where=str(path),
                expected=str(solver.net.seed),
                found=str(int(extra["seed"])),
                remedy=f"Continue with --seed {int(extra['seed'])}",
            )
        learnable = solver.net.learnable
        count = len(learnable) * solver.histories
        if len(file["history"]) != count:
            raise SolverError(
                "belongs to another net: the number of history blobs differs",
                where=str(path),
                expected=str(count),
                found=str(len(file["history"])),
            )
        histories = []
        for i in range(count):
            p = learnable[i % len(learnable)]
            array = read_dataset(file["history"], str(i), error=WeightsError)
            if array.shape != p.shape:
                raise SolverError(
                    f"belongs to another net: the history of {p.layer}/{p.index} differs",
                    where=str(path),
                    expected=" x ".join(map(str, p.shape)),
                    found=" x ".join(map(str, array.shape)),
                )
            histories.append(array)
        iteration = number(file, "iter")
        step = number(file, "current_step") if "current_step" in there else 0
        stored = np.ravel(file["learned_net"][()])[0]
    learned = stored.decode() if isinstance(stored, bytes) else str(stored)
    solver.load_weights(beside(path, learned.rstrip("\0")))
    for i, array in enumerate(histories):
        p = learnable[i % len(learnable)]
        flat = solver.history[i // len(learnable)]
        flat[p.offset : p.offset + p.count] = array.ravel()
    solver.iter, solver.current_step = iteration, step
    if extra:
        solver.losses.clear()
        solver.losses.extend(float(x) for x in extra["losses"])
        solver.net.load_state(json.loads(extra["layers"]))
        for net, state in zip(solver.test_nets, json.loads(extra["test_layers"]), strict=False):
            net.load_state(state)
    else:
        solver.observer.said(
            f"{path} was written by Caffe, which does not keep the position in the data:"
            " reading starts at the first row"
        )


def number(file: Any, name: str) -> int:
    """The one integer of a dataset."""
    values = read_dataset(file, name, error=WeightsError).ravel()
    if values.size != 1:
        raise SolverError(f"is not a solver state: /{name} is not one number", where=file.filename)
    return int(values[0])


def beside(state: Path, learned: str) -> Path:
    """Where the parameters of a state are: as stored, or beside the state if both were moved."""
    for path in (state.parent / Path(learned).name, Path(learned)):
        if path.exists():
            return path
    raise SolverError(
        "names parameters that are not there",
        where=str(state),
        expected=f"{learned} or {state.parent / Path(learned).name}",
        remedy="Put the .caffemodel.h5 beside the .solverstate.h5",
    )
