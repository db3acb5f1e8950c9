"""HDF5 files, read with suspicion and written whole.

    with open_h5(path) as file:
        names = members(file, "data")
        array = read_dataset(file, "data/conv1/0")
        words = read_text(file, "model_prototxt")
    with create_h5(path) as file:
        file["data/conv1/0"] = array

An HDF5 file may point into other files (external links, external storage, virtual datasets), may
loop (soft links) and may declare sizes that it does not hold.  All of these are refused by name.
Errors are of the class the caller passes: weights raise WeightsError, data raise DataError.
"""

from __future__ import annotations

import io
import math
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from . import heaps
from .errors import DataError, DemitasseError, OutputError
from .files import replacing

SIGNATURE = b"\x89HDF\r\n\x1a\n"

# Deflate packs at most about 1030 to 1, so a higher ratio says that the numbers were never stored.
BOMB_BYTES, BOMB_RATIO = 256 << 20, 1200
MOST_TEXT, MOST_TEXTS = 64 << 20, 1 << 16  # bytes, strings; large prototxts have some 100,000 bytes

ErrorClass = type[DemitasseError]

_WORDS = {
    "b": "booleans",
    "c": "complex numbers",
    "O": "strings or items of variable length",
    "S": "strings",
    "U": "strings",
    "V": "compound items",
}


class _Disk(io.FileIO):
    """A file that keeps what the system refuses to itself until the writer asks.

    HDF5 cannot undo a failed write: h5py then crashes the process on exit (seen with HDF5 2.0).
    """

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        while len(rest) and self.failure is None:
            try:
                rest = rest[super().write(rest) or 0 :]
            except OSError as problem:
                self.failure = problem
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as problem:
            self.failure = self.failure or problem
            return self.tell() if size is None else size


@contextmanager
def create_h5(
    path: str | os.PathLike[str],
    *,
    overwrite: bool = True,
    libver: str | None = None,
    quick: bool = True,
) -> Iterator[h5py.File]:
    """A new file, which appears whole when the block ends, or not at all (OutputError).

    quick: what is in the block takes so little time that Ctrl-C may wait for it.
    """
    with (
        replacing(path, overwrite=overwrite) as temporary,
        _ctrl_c_waits() if quick else nullcontext(),
        write_h5(temporary, libver=libver) as file,
    ):
        yield file


@contextmanager
def write_h5(path: str | os.PathLike[str], *, libver: str | None = None) -> Iterator[h5py.File]:
    """A new file at a path that `replacing` gave; OSError where the disk is full."""
    with _Disk(path, "w+") as disk:
        with h5py.File(disk, "w", libver=libver) as file:
            yield file
        if disk.failure is not None:
            raise disk.failure


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Let Ctrl-C act behind the block: h5py loses an exception that is raised in its callbacks."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[Any] = []
    signal.signal(signal.SIGINT, lambda number, frame: waiting.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting:
            before(signal.SIGINT, waiting[0])


def extend_h5(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Add datasets to a file that is there; OutputError where it has one of the same name."""
    try:
        with h5py.File(path, "r+") as file:
            for name, array in arrays.items():
                if name in file:
                    raise OutputError(
                        f"holds '{name}' already, from an earlier pass",
                        where=os.fspath(path),
                        remedy="Let one pass fill a file, or number the passes: put %d into the "
                        "name of the dataset or of the file",
                    )
                file[name] = array
    except OSError as problem:
        raise OutputError(
            f"cannot be added to ({_short(str(problem))})", where=os.fspath(path)
        ) from problem


@contextmanager
def open_h5(
    path: str | os.PathLike[str], *, error: ErrorClass = DataError, texts: bool = True
) -> Iterator[h5py.File]:
    """The file, open for reading; what the file system or HDF5 finds wrong becomes an `error`.

    texts: whether strings or attributes will be read, for which the file is looked through.
    """
    where = os.fspath(path)
    size = file_size(path, error=error)
    stuck = heaps.endless(path) if texts else None
    if stuck is not None:
        raise error(
            f"is damaged: the heap of its strings leads nowhere at byte {stuck}",
            where=where,
            remedy="Copy or make the file again",
        )
    try:
        file = h5py.File(path, "r")
    except Exception as problem:
        raise _refusal(str(problem), where, size, error) from problem
    with file:
        yield file


def file_size(path: str | os.PathLike[str], *, error: ErrorClass = DataError) -> int:
    """Bytes of a file that exists, is no folder and is not empty."""
    where = os.fspath(path)
    if os.path.isdir(path):
        raise error("is a folder, not a file", where=where)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        hint = "" if os.path.isabs(path) else f"The path is relative to {os.getcwd()}"
        raise error("does not exist", where=where, remedy=hint, absent=True) from None
    except (OSError, ValueError) as problem:  # ValueError: a zero byte in the path
        reason = getattr(problem, "strerror", None) or problem
        raise error(f"cannot be read ({reason})", where=where) from problem
    if size == 0:
        raise error("is empty (0 bytes)", where=where, remedy="Copy or make the file again")
    return size


def _refusal(text: str, where: str, size: int, error: ErrorClass) -> DemitasseError:
    if stored := re.search(r"truncated file: .*stored_eof = (\d+)", text):
        return error(
            "is cut off",
            where=where,
            expected=f"{stored[1]} bytes",
            found=size,
            remedy="Copy or make the file again",
        )
    if "signature not found" in text:
        return error("is not an HDF5 file", where=where)
    return error(f"cannot be opened as HDF5 ({_short(text)})", where=where)


def _short(text: str) -> str:
    inner = re.search(r"\((.*)\)", text, re.DOTALL)
    return (inner[1] if inner else text).splitlines()[0]


@contextmanager
def _damage(where: str, error: ErrorClass) -> Iterator[None]:
    """Whatever HDF5 raises on a damaged file becomes an `error`."""
    try:
        yield
    except DemitasseError:
        raise
    except Exception as problem:
        text = _short(str(problem)) or type(problem).__name__
        raise error(f"is damaged or cannot be decoded ({text})", where=where) from problem


def _find(group: h5py.Group, name: str, error: ErrorClass) -> h5py.Group | h5py.Dataset:
    """The object at `name`, every step of the way being a hard link."""
    here, where = group, group.file.filename
    parts = [part for part in name.split("/") if part]
    for depth, part in enumerate(parts, 1):
        path = "/".join(parts[:depth])
        with _damage(f"{where}, '{path}'", error):
            if not isinstance(here, h5py.Group) or part not in here.keys():  # noqa: SIM118
                there = sorted(map(_named, here)) if isinstance(here, h5py.Group) else []
                raise error(
                    f"has no '{path}'",
                    where=where,
                    expected=name if path != name else None,
                    found=_listing(there, f"in '{'/'.join(parts[: depth - 1]) or '/'}'"),
                )
            link = here.get(part, getlink=True)
            if not isinstance(link, h5py.HardLink):
                target = getattr(link, "filename", "")
                raise error(
                    f"'{path}' is a link" + (f" into another file ({target})" if target else ""),
                    where=where,
                    remedy="Only what is stored in the file itself is read; copy it there "
                    "(h5repack or h5copy)",
                )
            here = here[part]
    return here


def _listing(names: list[str], place: str) -> str:
    if not names:
        return f"nothing {place}"
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"{', '.join(names[:12])}{more} {place}"


def is_group(group: h5py.Group, name: str, *, error: ErrorClass = DataError) -> bool:
    """Whether a group of this name lies directly in this one (a link does not count)."""
    with _damage(f"{group.file.filename}, '{name}'", error):
        link = group.get(name, getlink=True)
        return isinstance(link, h5py.HardLink) and isinstance(group[name], h5py.Group)


def members(group: h5py.Group, name: str = "", *, error: ErrorClass = DataError) -> list[str]:
    """The names in a group."""
    found = _find(group, name, error)
    if not isinstance(found, h5py.Group):
        raise error(f"'{name}' is a dataset, not a group", where=group.file.filename)
    with _damage(group.file.filename, error):
        return [_named(name) for name in found.keys()]  # noqa: SIM118


def _named(name: str | bytes) -> str:
    """The name of a member; of one that is not UTF-8, what may be shown."""
    return name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")


def attributes(group: h5py.Group, *, error: ErrorClass = DataError) -> dict[str, Any]:
    """All attributes of an object."""
    with _damage(f"{group.file.filename}, attributes", error):
        return dict(group.attrs.items())


def attribute(group: h5py.Group, path: str, name: str, *, error: ErrorClass = DataError) -> Any:
    """An attribute of an object that is there; None where it has none of this name."""
    with _damage(f"{group.file.filename}, attribute '{name}' of '{path}'", error):
        return group[path].attrs.get(name)


def dataset(group: h5py.Group, name: str, *, error: ErrorClass = DataError) -> h5py.Dataset:
    """A dataset of numbers whose values lie in this file; nothing of them is read yet."""
    found, where = _dataset(group, name, error), f"{group.file.filename}, '{name}'"
    with _damage(where, error):
        dtype = found.dtype
        if dtype.kind not in "iuf":
            words = _WORDS.get(dtype.kind, str(dtype))
            raise error("holds no plain numbers", where=where, expected="numbers", found=words)
        if found.shape is None:
            raise error("is a null dataset: it has a type but no values", where=where)
        _check_stored(found, where, error)
    return found


def _dataset(group: h5py.Group, name: str, error: ErrorClass) -> h5py.Dataset:
    """A dataset of whatever type."""
    found, where = _find(group, name, error), f"{group.file.filename}, '{name}'"
    if isinstance(found, h5py.Group):
        inside = _listing(members(found, error=error), "in it")
        raise error("is a group, not a dataset", where=where, found=inside)
    if not isinstance(found, h5py.Dataset):
        raise error("is neither a group nor a dataset", where=where)
    return found


def _check_stored(found: h5py.Dataset, where: str, error: ErrorClass) -> None:
    """Refuse values that lie in another file, or that the file cannot hold."""
    if found.external:
        raise error(
            f"keeps its values in another file ({found.external[0][0]})",
            where=where,
            remedy="Only what is stored in the file itself is read",
        )
    if found.is_virtual:
        raise error(
            "is a virtual dataset: its values lie in other files",
            where=where,
            remedy="Only what is stored in the file itself is read",
        )
    declared = math.prod(found.shape) * found.dtype.itemsize
    stored = found.id.get_storage_size()
    if declared > BOMB_BYTES and declared > BOMB_RATIO * stored:
        raise error(
            "declares far more than the file holds",
            where=where,
            expected=f"about {declared / 2**30:.3g} GiB for shape {found.shape}",
            found=f"{stored} bytes",
        )


def read_dataset(
    group: h5py.Group,
    name: str,
    *,
    error: ErrorClass = DataError,
    dtype: npt.DTypeLike | None = None,
) -> np.ndarray:
    """A whole dataset as an array; as `dtype` if one is given (HDF5 converts as it reads)."""
    found = dataset(group, name, error=error)
    with _damage(f"{group.file.filename}, '{name}'", error):
        array = np.empty(found.shape, dtype=dtype or found.dtype)
        if array.ndim == 0:
            array[...] = found[()]
        elif array.size:
            found.read_direct(array)
    return array


def read_texts(group: h5py.Group, name: str, *, error: ErrorClass = DataError) -> list[str]:
    """The strings of a dataset, of fixed or variable length, in row order; bytes that are no UTF-8
    become surrogates.  Together at most MOST_TEXT bytes."""
    found, where = _dataset(group, name, error), f"{group.file.filename}, '{name}'"
    with _damage(where, error):
        if h5py.check_string_dtype(found.dtype) is None:
            words = "numbers" if found.dtype.kind in "iuf" else str(found.dtype)
            raise error("holds no text", where=where, expected="strings", found=words)
        if found.shape is None:
            return []
        _check_stored(found, where, error)
        texts, size = [], 0
        if math.prod(found.shape) > MOST_TEXTS:
            expected = f"at most {MOST_TEXTS}"
            raise error("holds too many strings", where=where, expected=expected, found=found.size)
        for index in np.ndindex(found.shape):
            item = found[index]
            raw = item.encode() if isinstance(item, str) else bytes(item)
            size += max(len(raw), 1)
            if size > MOST_TEXT:  # strings of variable length may all be the same one in the file
                raise error("holds too much text", where=where, expected=f"at most {MOST_TEXT} B")
            texts.append(raw.split(b"\0", 1)[0].decode("utf-8", "surrogateescape"))
    return texts


def read_text(group: h5py.Group, name: str, *, error: ErrorClass = DataError) -> str:
    """The only string of a dataset; empty for a null dataset."""
    texts = read_texts(group, name, error=error)
    if len(texts) > 1:
        where = f"{group.file.filename}, '{name}'"
        raise error("holds several strings", where=where, expected="one", found=len(texts))
    return "".join(texts)
