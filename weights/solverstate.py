"""Caffe's solver states: iteration, where the parameters are, and what the solver remembers.

    .solverstate        SolverState: iter 1   learned_net 2   history 3 (BlobProto)   current_step 4
    .solverstate.h5     /iter   /learned_net   /history/<i>   /current_step

What Caffe does not keep (position in the data, random streams, recent losses) is added where Caffe
does not look: JSON in field 1000, attributes of /demitasse.  There is also a SHA-256 of every array
of the history (attributes of these in HDF5, as in hdf5.py) and of all the rest.

Source: Caffe's SGDSolver::SnapshotSolverState... and RestoreSolverState...
(src/caffe/solvers/sgd_solver.cpp).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import h5py
import numpy as np

from .. import h5
from ..errors import SolverError
from . import hdf5, wire
from .caffemodel import Part, blob_field, block, read_blob, write_message

OURS, GROUP, CHECKSUM = 1000, "demitasse", hdf5.CHECKSUM
# our field -> what it must be, so that nothing else gets further; how it is an HDF5 attribute
_EXTRA: dict[str, tuple[type, Callable[[Any], Any]]] = {
    "solver": (str, str),
    "seed": (int, np.int64),
    "losses": (list, lambda losses: np.array(losses, np.float64)),
    "layers": (dict, json.dumps),
    "test_layers": (list, json.dumps),
    "parameters": (str, str),
    "precision": (str, str),
    "ranks": (int, np.int64),
}
_SINCE_0_2 = {"parameters", "precision", "ranks"}  # files of earlier versions lack them


@dataclass(frozen=True)
class State:
    """What a solver state holds.

    learned_net: path of the parameters, "" if the file names none; history: one array for each
    learnable parameter, or two; extra: what is ours, {} where Caffe wrote the file ("parameters" is
    their `fingerprint`); verified: all had a checksum, and it was right.
    """

    iter: int
    current_step: int = 0
    learned_net: str = ""
    history: Sequence[np.ndarray] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    verified: bool = False

    def digest(self) -> str:
        """SHA-256 of all but the history."""
        rest = [self.iter, self.current_step, self.learned_net, dict(self.extra)]
        return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


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
    except (ValueError, RecursionError):
        raise _damaged(where) from None
    sums = extra.pop(CHECKSUM, None) if isinstance(extra, dict) else None
    state = State(numbers[1], numbers[4], os.fsdecode(learned), history, _checked(extra, where))
    return state if sums is None else _verified(state, sums, where)


def _verified(state: State, sums: Any, where: str) -> State:
    """The state, once its checksums are found right; sums: of the rest, and of each history."""
    found = [state.digest(), *map(hdf5.digest, state.history)]
    if not isinstance(sums, list) or len(sums) != len(found):
        raise _damaged(where)
    for i, (theirs, ours) in enumerate(zip(sums, found, strict=True)):
        if theirs != ours:
            raise SolverError(
                f"checksum mismatch in {f'history/{i - 1}' if i else 'its description'}",
                where=where,
                remedy="It has changed since it was written: fetch it again, or an earlier one",
            )
    return replace(state, verified=True)


def _checked(extra: Any, where: str) -> dict[str, Any]:
    """What is ours: all of it or nothing, each of its kind."""
    known = _EXTRA.keys() - _SINCE_0_2
    if not isinstance(extra, dict) or (extra and not known <= extra.keys() <= _EXTRA.keys()):
        raise _damaged(where)
    if not all(isinstance(value, _EXTRA[key][0]) for key, value in extra.items()):
        raise _damaged(where)
    maps = [*extra.get("layers", {}).values(), *extra.get("test_layers", ())]
    numbers = all(isinstance(value, int | float) for value in extra.get("losses", ()))
    if not numbers or not all(isinstance(value, dict) for value in maps):
        raise _damaged(where)
    return extra


def _damaged(where: str) -> SolverError:
    return SolverError("is damaged: what demitasse added cannot be read", where=where)


def write_binary_state(path: str | os.PathLike[str], state: State) -> None:
    """Write a .solverstate, whole or not at all."""
    parts: list[Part] = [wire.encode_varint(1 << 3) + wire.encode_varint(state.iter)]
    parts.append(block(2, os.fsencode(state.learned_net)))
    for array in state.history:
        parts += blob_field(3, array)
    parts.append(wire.encode_varint(4 << 3) + wire.encode_varint(state.current_step))
    if state.extra:
        sums = [state.digest(), *map(hdf5.digest, state.history)]
        parts.append(block(OURS, json.dumps({**state.extra, CHECKSUM: sums}).encode()))
    write_message(path, parts, what="a solver state")


# ------------------------------------------------------------------ HDF5


def read_hdf5_state(file: h5py.File) -> State:
    """The state in an open .solverstate.h5."""
    there = h5.members(file, error=SolverError)
    history, verified = [], True
    for i in range(len(h5.members(file, "history", error=SolverError))):
        array, checked = hdf5.read_blob(file, f"history/{i}", SolverError)
        history.append(array)
        verified &= checked
    learned = h5.read_text(file, "learned_net", error=SolverError) if "learned_net" in there else ""
    step = number(file, "current_step") if "current_step" in there else 0
    extra, stored = _ours(file) if h5.is_group(file, GROUP, error=SolverError) else ({}, None)
    state = State(number(file, "iter"), step, learned, history, extra)
    if stored is None:
        return state
    _verified(replace(state, history=()), [stored], file.filename)
    return replace(state, verified=verified)


def _ours(file: h5py.File) -> tuple[dict[str, Any], Any]:
    """What is ours, and its checksum if there is one."""
    try:
        found = {name: _plain(name, value) for name, value in file[GROUP].attrs.items()}
    except Exception:  # whatever h5py or json meets in a damaged file
        raise _damaged(file.filename) from None
    stored = found.pop(CHECKSUM, None)
    return _checked(found, file.filename), stored


def _plain(name: str, value: Any) -> Any:
    """An attribute as JSON would have it."""
    if name in ("layers", "test_layers"):
        return json.loads(value)
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def number(file: h5py.File, name: str) -> int:
    """The one integer of a dataset."""
    values = h5.read_dataset(file, name, error=SolverError).ravel()
    if values.size != 1 or values.dtype.kind not in "iu":
        raise SolverError(
            f"is not a solver state: /{name} is not one whole number", where=file.filename
        )
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
            hdf5.write_blob(history, str(i), array)
        if state.extra:
            ours = file.create_group(GROUP)
            for key, value in state.extra.items():
                ours.attrs[key] = _EXTRA[key][1](value)
            ours.attrs[CHECKSUM] = state.digest()
