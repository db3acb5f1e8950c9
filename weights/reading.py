"""Parameter files and solver states of every kind, told apart by content and never by name."""

from __future__ import annotations

import os

import h5py

from .. import h5
from ..errors import SolverError, WeightsError
from ..texts import control
from . import wire
from .base import Model, Weights
from .caffemodel import read_caffemodel
from .hdf5 import read_layers
from .model import is_model, read_model
from .solverstate import State, is_binary_state, read_binary_state, read_hdf5_state

_ITER = 8  # what a binary state begins with: the key of its iteration; a net has a name or a layer

# what is neither HDF5 nor a net but often meant to be one: first bytes, what it is
FOREIGN = (
    (b"version https://git-lfs", "a Git LFS pointer to a file that was not fetched"),
    (b"PK\x03\x04", "a zip archive (PyTorch, Keras and NumPy save so)"),
    (b"\x80\x02", "a Python pickle (old PyTorch saves so)"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"\x89PNG", "a PNG image"),
    (b"<", "an HTML or XML page, so perhaps a failed download"),
)


def read(path: str | os.PathLike[str]) -> Weights:
    """The parameters in a file.

    A binary net of any generation, Caffe's HDF5 or our own model; WeightsError for anything else
    says what it seems to be.
    """
    found = _read(path)
    for name in found.layers:
        if bad := control(name):
            what = f"the name of a layer holds a control character, {bad}"
            raise WeightsError(what, where=found.path)
    return found


def _read(path: str | os.PathLike[str]) -> Weights:
    where = os.fspath(path)
    h5.file_size(path, error=WeightsError)
    with open(path, "rb") as file:
        head = file.read(4096)
    if _is_hdf5(where, head):
        return _read_hdf5(where)
    for start, kind in FOREIGN:
        if head.startswith(start):
            raise WeightsError("is not a parameter file", where=where, found=kind)
    if _is_text(head):
        raise _text(where, head)
    if head[0] == _ITER and is_binary_state(_content(where)):
        raise _solverstate(where)
    return read_caffemodel(path)


def read_description(path: str | os.PathLike[str]) -> Model | None:
    """What a model says beside its parameters, which are not read; None where the file is no HDF5.
    WeightsError where it is, but no model."""
    where = os.fspath(path)
    if os.path.isdir(path) or not h5py.is_hdf5(where):
        return None
    with h5.open_h5(where, error=WeightsError) as file:
        if is_model(file):
            return read_model(file)
    raise WeightsError(
        "holds no net",
        where=where,
        expected="a prototxt, or a model such as unet.h5",
        found="another HDF5 file (parameters alone, solver state or data)",
    )


def is_state(path: str | os.PathLike[str]) -> tuple[bool, bool]:
    """Whether a file looks like a solver state, and whether it is HDF5."""
    where = os.fspath(path)
    h5.file_size(path, error=WeightsError)
    with open(path, "rb") as stream:
        head = stream.read(4096)
    if not _is_hdf5(where, head):
        return head[0] == _ITER, False
    with h5.open_h5(where, error=WeightsError) as file:
        return {"iter", "history"} & set(h5.members(file, error=WeightsError)) != set(), True


def read_state(path: str | os.PathLike[str]) -> State:
    """The solver state in a file, binary or HDF5; SolverError for anything else says what it is."""
    where = os.fspath(path)
    h5.file_size(path, error=SolverError)
    with open(path, "rb") as file:
        head = file.read(4096)
    if _is_hdf5(where, head):
        with h5.open_h5(where, error=SolverError) as file:
            names = h5.members(file, error=SolverError)
            if {"iter", "history"} <= set(names):
                return read_hdf5_state(file)
            if "data" not in names:
                missing = next(name for name in ("iter", "history") if name not in names)
                raise SolverError(
                    f"is not a solver state: it has no /{missing}",
                    where=where,
                    found=", ".join(names) or "nothing in it",
                )
    elif head[0] == _ITER:
        try:
            return read_binary_state(_content(where), where)
        except wire.WireError as error:
            raise SolverError(
                f"is not a complete solver state: it breaks at byte {error.position}",
                where=where,
                remedy="It was probably cut off while it was copied; fetch it again",
            ) from None
        except WeightsError as error:
            raise SolverError(error.what, where=error.where, found=error.found) from None
    raise _no_state(where)


def _no_state(where: str) -> SolverError:
    """Say what a file is that holds no solver state."""
    try:
        read(where)
    except WeightsError as error:
        return SolverError("is not a solver state", where=where, found=error.found or error.what)
    name = where.replace("caffemodel", "solverstate")
    return SolverError(
        "holds parameters, not a solver state",
        where=where,
        remedy=(f"To continue a training give its state, {name}; to" if name != where else "To")
        + f" start one from these parameters use --weights {where}",
    )


def _is_hdf5(where: str, head: bytes) -> bool:
    return bool(h5py.is_hdf5(where)) or head.startswith(h5.SIGNATURE)


def _content(where: str) -> bytes:
    with open(where, "rb") as file:
        return file.read()


def _read_hdf5(where: str) -> Weights:
    with h5.open_h5(where, error=WeightsError) as file:
        names = h5.members(file, error=WeightsError)
        if {"iter", "history"} <= set(names):
            raise _solverstate(where)
        if "model_prototxt" in names:
            raise WeightsError(
                "is a model definition of Freiburg's plugin, which holds no parameters",
                where=where,
                remedy="Name the .caffemodel.h5 that belongs to it",
            )
        if not h5.is_group(file, "data", error=WeightsError):
            raise WeightsError(
                "is HDF5 but no parameter file: it has no group '/data'",
                where=where,
                found=", ".join(names[:8]) or "nothing in it",
                remedy="Training data belong into an HDF5Data layer" if "data" in names else "",
            )
        model = read_model(file) if is_model(file) else None
        layers, verified = read_layers(file)
    if not layers:
        raise WeightsError("holds no layers", where=where)
    return Weights(layers, "model" if model else "hdf5", where, verified=verified, model=model)


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # else the last character is only cut in two
            return False
        text = head[: error.start].decode()
    return all(c.isprintable() or c in "\t\n\r\f" for c in text)


def _text(where: str, head: bytes) -> WeightsError:
    if b"base_lr" in head or b"lr_policy" in head:
        what, remedy = "is a solver's prototxt", "Give it to --solver"
    elif b"layer" in head and b"{" in head:
        what, remedy = "is a net's prototxt", "Give it to --model"
    else:
        what, remedy = "is text", ""
    return WeightsError(
        f"{what}, not a parameter file",
        where=where,
        expected="a .caffemodel or .h5 with parameters",
        remedy=remedy,
    )


def _solverstate(where: str) -> WeightsError:
    return WeightsError(
        "is a solver state (momentum and iteration), not a parameter file",
        where=where,
        remedy="To go on training give it to --snapshot; its parameters are in the .caffemodel "
        "that was written beside it",
    )
