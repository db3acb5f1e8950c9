"""Caffe's HDF5 parameter files (.caffemodel.h5).

    /data/<layer>         a group for every layer, also those without parameters
    /data/<layer>/<i>     its i-th blob; left out where another layer owns it (shared parameters)
    /diff/<layer>/<i>     its gradient, if the solver's snapshot_diff asks for it; not read

A layer called "db1/reduce" lies in /data/db1/reduce, as HDF5 takes its name.  Caffe makes such a
group only where a layer "db1" comes before, and never reads it again; so write_hdf5 refuses one
with parameters, while our models hold it (model.py).  One without parameters is left out.

A blob is stored as it lies in memory, float32 (float64 if the net is), contiguous.  To each the
attribute "sha256" is added, the digest of its bytes, which Caffe does not look at; files without it
are read as well, but nothing tells then whether a bit has changed.

Source: Caffe's src/caffe/net.cpp (ToHDF5, CopyTrainedLayersFromHDF5) and util/hdf5.cpp.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence

import h5py
import numpy as np

from .. import h5
from ..errors import DemitasseError, WeightsError
from .base import Layers

CHECKSUM = "sha256"
_DEEPEST = 30  # groups in groups
_KNOWN = {str(i): i for i in range(100)}  # blobs of one layer; an LSTM has 5


def digest(array: np.ndarray) -> str:
    """SHA-256 of an array's bytes: little-endian, row by row."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return hashlib.sha256(little.reshape(-1).view(np.uint8).data).hexdigest()


def fingerprint(layers: Mapping[str, Sequence[np.ndarray | None]]) -> str:
    """SHA-256 of all blobs with their names, in whatever order; the same in every format."""
    lines = (
        f"{name}/{i} {digest(array)}\n"
        for name, blobs in layers.items()
        for i, array in enumerate(blobs)
        if array is not None
    )
    return hashlib.sha256("".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()


def read_layers(file: h5py.File) -> tuple[Layers, bool]:
    """All layers, and whether every blob had a checksum (a wrong one is an error)."""
    layers: Layers = {}
    verified = True
    for name, indices in layers_of(file):
        blobs: list[np.ndarray | None] = [None] * (1 + max(indices, default=-1))
        for index in indices:
            array, checked = read_blob(file, f"data/{name}/{index}")
            native = np.float64 if array.dtype == np.float64 else np.float32  # Caffe: integers too
            blobs[index] = array.astype(native, copy=False)
            verified &= checked
        layers[name] = blobs
    return layers, verified and any(layers.values())


def layers_of(file: h5py.File) -> Iterator[tuple[str, list[int]]]:
    """Every layer, and which of its blobs the file holds; a group of groups alone is none."""
    seen: set[object] = set()

    def below(layer: str) -> Iterator[tuple[str, list[int]]]:
        path, here = f"data/{layer}", list[int]()
        names = h5.members(file, path, error=WeightsError)
        inner = [name for name in names if h5.is_group(file[path], name, error=WeightsError)]
        for name in _KNOWN.keys() & set(inner):  # an empty one stands where a blob should
            if not h5.members(file, f"{path}/{name}", error=WeightsError):
                inner.remove(name)
        for name in names:
            if name in inner:
                continue
            if name not in _KNOWN:
                raise WeightsError(
                    f"layer '{layer}' has an entry called '{name}'",
                    where=file.filename,
                    expected="blobs called 0, 1, 2 ...",
                )
            here.append(_KNOWN[name])
        if here or not inner:
            yield layer, here
        for name in inner:
            try:
                place = h5py.h5o.get_info(file[f"{path}/{name}"].id).addr
            except Exception as problem:
                raise WeightsError(f"'{path}' is damaged", where=file.filename) from problem
            if place in seen or path.count("/") > _DEEPEST:  # hard links may make a loop
                raise WeightsError(
                    f"'{path}/{name}' is no layer",
                    where=file.filename,
                    expected="few groups in groups",
                )
            seen.add(place)
            yield from below(f"{layer}/{name}")

    for name in h5.members(file, "data", error=WeightsError):
        yield from below(name)


def read_blob(
    file: h5py.File, path: str, error: type[DemitasseError] = WeightsError
) -> tuple[np.ndarray, bool]:
    """The array of a dataset, and whether it has a checksum (a wrong one is an `error`)."""
    array = h5.read_dataset(file, path, error=error)
    stored = h5.attribute(file, path, CHECKSUM, error=error)
    if stored is not None and stored != digest(array):
        raise error(
            f"checksum mismatch in {path.removeprefix('data/')}",
            where=file.filename,
            remedy="It has changed since it was written: fetch it again, or an earlier one",
        )
    return array, stored is not None


def write_blob(group: h5py.Group, name: str, array: np.ndarray) -> None:
    """A dataset with its checksum."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    dataset = group.create_dataset(name, data=little.reshape(array.shape))
    dataset.attrs[CHECKSUM] = digest(array)


def write_layers(
    file: h5py.File, layers: Mapping[str, Sequence[np.ndarray | None]], under: str = "data"
) -> None:
    """Write /data (or /diff).  None: a blob that another layer owns."""
    data = file.create_group(under)
    for name, blobs in layers.items():
        if "/" in name and all(array is None for array in blobs):
            continue  # whether it is there makes no difference
        group = data.require_group(name)
        for i, array in enumerate(blobs):
            if array is not None:
                write_blob(group, str(i), array)


def check_layers(
    path: str | os.PathLike[str],
    layers: Mapping[str, Sequence[np.ndarray | None]],
    *,
    nested: bool = False,
) -> None:
    """Raise WeightsError where an HDF5 file could not hold these layers; nested: "a/b" may lie in
    "a", where Caffe does not look."""
    for name, blobs in layers.items():
        holds = any(array is not None for array in blobs)
        if _unusable(name, layers, nested) and (holds or "/" not in name):
            raise WeightsError(
                f"the layer name '{name}' cannot be used in HDF5 (nor could Caffe)",
                where=os.fspath(path),
                remedy="Rename the layer, or save as .caffemodel",
            )
        for i, array in enumerate(blobs):
            if array is not None and array.dtype.str[1:] not in ("f4", "f8"):
                raise WeightsError(
                    f"{name}/{i} is no floating point blob",
                    where=os.fspath(path),
                    expected="float32 or float64",
                    found=array.dtype,
                )


def _unusable(name: str, layers: Mapping[str, Sequence[np.ndarray | None]], nested: bool) -> bool:
    *outer, last = name.split("/")
    taken = "/".join(outer) in layers and last in _KNOWN  # the place of a blob
    return not {*outer, last}.isdisjoint({"", "."}) or bool(outer and (taken or not nested))


def write_hdf5(
    path: str | os.PathLike[str],
    layers: Mapping[str, Sequence[np.ndarray | None]],
    diffs: Mapping[str, Sequence[np.ndarray | None]] | None = None,
    *,
    overwrite: bool = True,
) -> None:
    """Write a .caffemodel.h5 that Caffe can read too, whole or not at all.

    diffs: also the gradients (snapshot_diff), of every blob, whoever owns it.
    """
    check_layers(path, layers)
    with h5.create_h5(path, overwrite=overwrite) as file:
        write_layers(file, layers)
        if diffs is not None:
            write_layers(file, diffs, "diff")
