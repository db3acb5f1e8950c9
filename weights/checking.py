"""Whether a parameter file or solver state is as it was written, blob by blob.

    checked = check("unet_iter_400.caffemodel.h5")
    checked.fine                       every blob can be read, is finite and has no wrong checksum
    checked.blobs[0]                   Blob("d0/0", "64x1x3x3 float32", "ok")

A blob is "ok" (its checksum is right), "unverified" (it has none: Caffe writes none, and a binary
.caffemodel has no place for one), "not finite", or "damaged" with what is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import h5py
import numpy as np

from .. import h5
from ..errors import DemitasseError, SolverError, WeightsError
from . import hdf5
from .model import is_model, read_model
from .reading import is_state, read, read_state

OK, UNVERIFIED, NOT_FINITE, DAMAGED = "ok", "unverified", "not finite", "damaged"


class Blob(NamedTuple):
    """One array of a file; why: what is wrong with it."""

    name: str
    kind: str
    state: str
    why: str = ""


@dataclass(frozen=True)
class Checked:
    """What was found.  kind: in words, "" where it is no such file; problems: of the file as a
    whole; learned_net: the parameters that a state names."""

    path: str
    kind: str
    blobs: tuple[Blob, ...]
    problems: tuple[str, ...] = ()
    learned_net: str = ""

    @property
    def fine(self) -> bool:
        """Whether nothing is wrong; what is unverified is not wrong."""
        return not self.problems and all(b.state in (OK, UNVERIFIED) for b in self.blobs)


def check(path: str | os.PathLike[str]) -> Checked:
    """Read a whole file and say of every blob how it is; nothing that is wrong is an exception."""
    where = os.fspath(path)
    try:
        state, in_hdf5 = is_state(path)
    except DemitasseError as error:
        return Checked(where, "", (), (str(error),))
    blobs = tuple(_hdf5_blobs(where, state)) if in_hdf5 else ()
    try:
        if state:
            found = read_state(path)
            if not in_hdf5:
                arrays = [(f"history/{i}", a) for i, a in enumerate(found.history)]
                blobs = tuple(_blob(name, a, found.verified) for name, a in arrays)
            return Checked(where, "solver state", blobs, (), found.learned_net)
        weights = read(path)
    except DemitasseError as error:
        known = any(blob.state == DAMAGED for blob in blobs)  # it is said there
        return Checked(where, "damaged" if blobs else "", blobs, () if known else (str(error),))
    if not in_hdf5:
        blobs = tuple(
            _blob(f"{name}/{i}", array, verified=False)
            for name, arrays in weights.layers.items()
            for i, array in enumerate(arrays)
            if array is not None
        )
    kind = {"hdf5": "caffemodel.h5", "caffemodel": "binary caffemodel"}.get(weights.kind, "model")
    return Checked(where, f"{kind} of {len(weights.layers)} layers", blobs)


def _blob(name: str, array: np.ndarray, verified: bool) -> Blob:
    shape = "x".join(map(str, array.shape)) or "one number"
    state = OK if verified else UNVERIFIED
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        return Blob(name, f"{shape} {array.dtype}", NOT_FINITE, f"{bad} of {array.size} numbers")
    return Blob(name, f"{shape} {array.dtype}", state)


def _hdf5_blobs(where: str, state: bool) -> Iterator[Blob]:
    """Every blob of an HDF5 file that can be opened."""
    error: type[DemitasseError] = SolverError if state else WeightsError
    try:
        with h5.open_h5(where, error=error) as file:
            if not state and is_model(file):
                read_model(file)
            for name, path in _paths(file, state, error):
                try:
                    yield _blob(name, *hdf5.read_blob(file, path, error))
                except DemitasseError as problem:
                    yield Blob(name, "", DAMAGED, problem.what)
    except DemitasseError:
        return  # reading the file says the same


def _paths(file: h5py.File, state: bool, error: type[DemitasseError]) -> Iterator[tuple[str, str]]:
    """The name and place of every blob."""
    if state:
        for name in h5.members(file, "history", error=error):
            yield f"history/{name}", f"history/{name}"
        return
    for layer, indices in hdf5.layers_of(file):
        for index in indices:
            yield f"{layer}/{index}", f"data/{layer}/{index}"
