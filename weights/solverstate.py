"""Caffe's solver states: iteration, where the parameters are, and what the solver remembers.

    .solverstate        SolverState: iter 1   learned_net 2   history 3 (BlobProto)   current_step 4
    .solverstate.h5     /iter   /learned_net   /history/<i>   /current_step

What Caffe does not keep (position in the data, random streams, recent losses) is added where Caffe
does not look: JSON in field 1000, attributes of /demitasse.

Source: Caffe's SGDSolver::SnapshotSolverState... and RestoreSolverState...
(src/caffe/solvers/sgd_solver.cpp).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from .. import h5
from ..errors import SolverError
from . import wire
from .caffemodel import Part, blob_field, block, read_blob, write_message

OURS, GROUP = 1000, "demitasse"
# our field -> how it is an attribute of the HDF5 group
_RANKS = "ranks"  # of the processes that trained together; older states lack it
_EXTRA: dict[str, Any] = {
    "solver": str,
    "seed": np.int64,
    "losses": lambda losses: np.array(losses, np.float64),
    "layers": json.dumps,
    "test_layers": json.dumps,
    _RANKS: np.int64,
}


@dataclass(frozen=True)
class State:
    """What a solver state holds.

    learned_net: path of the parameters, "" if the file names none; history: one array for each
    learnable parameter, or two; extra: what is ours, {} where Caffe wrote the file.
    """

    iter: int
    current_step: int = 0
    learned_net: str = ""
    history: Sequence[np.ndarray] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


# ------------------------------------------------------------------ binary


def is_binary_state(data: bytes) -> bool:
    """Whether the bytes are a SolverState: they begin with its iteration, and nothing else fits."""
    wanted = {(1, wire.VARINT), (2, wire.BYTES), (3, wire.BYTES), (4, wire.VARINT)}
    try:
        found = {(f.number, f.type) for f in wire.fields(data)}
    except wire.WireError:
        return False
    return (1, wire.VARINT) in found and found <= wanted | {(OURS, wire.BYTES)}


def read_binary_state(data: bytes, where: str) -> State:
    """The state in the bytes of a .solverstate; WireError where they break off."""
    numbers = {1: 0, 4: 0}
    learned, ours = b"", b"{}"
    history: list[np.ndarray] = []
    for part in wire.fields(data):
        if part.number in numbers and part.type == wire.VARINT:
            numbers[part.number] = wire.signed(part.value)
        elif part.number == 2:
            learned = data[part.start : part.stop]
        elif part.number == 3:
            array, _ = read_blob(data, part, f"{where}, history {len(history)}")
            history.append(array)
        elif part.number == OURS:
            ours = data[part.start : part.stop]
    try:
        extra = json.loads(ours)
    except ValueError:
        extra = None
    return State(numbers[1], numbers[4], os.fsdecode(learned), history, _checked(extra, where))


def _checked(extra: Any, where: str) -> dict[str, Any]:
    """What is ours: all of it or nothing."""
    if not isinstance(extra, dict) or (extra and not extra.keys() >= _EXTRA.keys() - {_RANKS}):
        raise SolverError("is damaged: what demitasse added cannot be read", where=where)
    return extra


def write_binary_state(path: str | os.PathLike[str], state: State) -> None:
    """Write a .solverstate, whole or not at all."""
    parts: list[Part] = [wire.encode_varint(1 << 3) + wire.encode_varint(state.iter)]
    parts.append(block(2, os.fsencode(state.learned_net)))
    for array in state.history:
        parts += blob_field(3, array)
    parts.append(wire.encode_varint(4 << 3) + wire.encode_varint(state.current_step))
    if state.extra:
        parts.append(block(OURS, json.dumps(dict(state.extra)).encode()))
    write_message(path, parts, what="a solver state")


# ------------------------------------------------------------------ HDF5


def read_hdf5_state(file: h5py.File) -> State:
    """The state in an open .solverstate.h5."""
    there = h5.members(file, error=SolverError)
    history = []
    for i in range(len(h5.members(file, "history", error=SolverError))):
        history.append(h5.read_dataset(file, f"history/{i}", error=SolverError))
    learned = b""
    if "learned_net" in there and isinstance(file["learned_net"], h5py.Dataset):
        stored = np.ravel(file["learned_net"][()])[0]
        learned = stored if isinstance(stored, bytes) else str(stored).encode()
    extra: dict[str, Any] = {}
    if h5.is_group(file, GROUP):
        attributes = {name: _plain(name, file[GROUP].attrs[name]) for name in file[GROUP].attrs}
        extra = _checked(attributes, file.filename)
    step = number(file, "current_step") if "current_step" in there else 0
    name = os.fsdecode(learned.rstrip(b"\0"))
    return State(number(file, "iter"), step, name, history, extra)


def _plain(name: str, value: Any) -> Any:
    """An attribute as JSON would have it."""
    if name in ("layers", "test_layers"):
        return json.loads(value)
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def number(file: h5py.File, name: str) -> int:
    """The one integer of a dataset."""
    values = h5.read_dataset(file, name, error=SolverError).ravel()
    if values.size != 1:
        raise SolverError(f"is not a solver state: /{name} is not one number", where=file.filename)
    return int(values[0])


def write_hdf5_state(path: str | os.PathLike[str], state: State) -> None:
    """Write a .solverstate.h5, whole or not at all."""
    # HDF5 1.8's format: older ones hold no attribute above 64 KiB
    with h5.create_h5(path, libver="v108") as file:
        file["iter"] = np.array([state.iter], np.int32)
        file["current_step"] = np.array([state.current_step], np.int32)
        name = os.fsencode(state.learned_net) + b"\0"
        file.create_dataset("learned_net", data=np.array(name, dtype=f"S{len(name)}"))
        history = file.create_group("history")
        for i, array in enumerate(state.history):
            history[str(i)] = array
        if state.extra:
            ours = file.create_group(GROUP)
            for key, stored in _EXTRA.items():
                if key in state.extra:
                    ours.attrs[key] = stored(state.extra[key])
