"""Training rows from a list of HDF5 files, in Caffe's order.

A text file names HDF5 files, one word each, or one a line where paths hold blanks.  Every file
holds one dataset for each name asked for, all with the same number of rows (axis 0).  Rows come in
order, file after file, batches crossing the borders, and after the last row the first again.  One
file at a time is in memory, whole.  Files may hold rows of other sizes, caffe_unet's addition,
where every file's number of rows is a multiple of the batch, so that no batch mixes sizes.

Shuffling permutes the files once an epoch and the rows of each file; the permutations are drawn
from a counter-based stream of (key; epoch, file), so a position is three integers and can be
taken up again exactly.  Caffe shuffles with libc's rand(), which its random_seed does not reach.

n processes that train one net together share the rows: batch i goes to process i mod n, and the
position is that of the next batch of process 0, the same in all of them.

Source: Caffe's src/caffe/layers/hdf5_data_layer.cpp.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import prod

import h5py
import numpy as np
import numpy.typing as npt

from .. import h5
from ..errors import DataError

_WORD = (1 << 64) - 1
_CHUNK = 1 << 20  # elements looked at together when searching for NaN


@dataclass(frozen=True)
class Position:
    """Where the next row comes from: rows are counted in the (shuffled) order of their file."""

    epoch: int = 0
    file: int = 0
    row: int = 0


def read_list(source: str, folder: str = "") -> list[str]:
    """The paths a list file names, relative ones put under `folder`: split at any white space, as
    Caffe does, except in a line that is a file's path as a whole."""
    path = os.path.join(folder, source)
    h5.file_size(path)
    try:
        with open(path, encoding="utf-8-sig") as file:  # editors of Windows put a mark before it
            lines = [line.strip() for line in file]
    except UnicodeDecodeError:
        hdf5 = _starts_like_hdf5(path)
        raise DataError(
            "is not a text file" + (" but an HDF5 file" if hdf5 else ""),
            where=path,
            expected="a text file naming HDF5 files, one a line",
            remedy="Write the HDF5 file's path into a text file and name that as source"
            if hdf5
            else "",
        ) from None
    words = [word for line in lines for word in _words(line, folder)]
    if not words:
        raise DataError(
            "names no file", where=path, expected="paths of HDF5 files, one a line", found="blanks"
        )
    return [os.path.join(folder, word) for word in words]


def _words(line: str, folder: str) -> list[str]:
    words = line.split()
    return [line] if len(words) > 1 and os.path.isfile(os.path.join(folder, line)) else words


def _starts_like_hdf5(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(len(h5.SIGNATURE)) == h5.SIGNATURE


class HDF5Rows:
    """An endless stream of rows.

    names: the datasets, in the order in which `read` fills its arrays; key: of the shuffling;
    batch: how many rows are read at once (0: any number, and all files must be alike); rank, ranks:
    which of how many processes this is.
    All files are opened once at the start, so a missing or unequal one is refused before training;
    their values are looked at when they are loaded.
    """

    def __init__(
        self,
        source: str,
        names: Sequence[str],
        *,
        folder: str = "",
        dtype: npt.DTypeLike = np.float32,
        shuffle: bool = False,
        key: tuple[int, int] = (0, 0),
        batch: int = 0,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self._source = os.path.join(folder, source)
        self._paths = read_list(source, folder)
        self._names, self._dtype = tuple(names), np.dtype(dtype)
        self._batch, self._rank, self._ranks = batch, rank, ranks
        self._shuffle, self._key = shuffle, (key[0] & _WORD, key[1] & _WORD)
        self._shapes: dict[str, tuple[tuple[int, ...], ...]] = {}  # of each file, without axis 0
        known: dict[str, int] = {}  # a file may be listed more than once
        for path in self._paths:
            if path not in known:
                known[path], self._shapes[path] = self._check(path)
        self._rows = [known[path] for path in self._paths]
        self.varies = len(set(self._shapes.values())) > 1
        if self.varies:
            self._check_sizes(batch, known)
        self._loaded: tuple[str, list[np.ndarray]] = ("", [])
        self._position = Position()
        self._files: tuple[int, np.ndarray] = (-1, np.empty(0, int))  # an epoch's order of files
        self._order: tuple[Position, np.ndarray] | None = None  # order of the present file's rows

    @property
    def count(self) -> int:
        """The rows of all files."""
        return sum(self._rows)

    @property
    def row_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of each dataset, without axis 0; where files differ, of the largest."""
        return max(self._shapes.values(), key=lambda rows: sum(prod(row) for row in rows))

    @property
    def next_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of each dataset in the file of the next row."""
        return self._shapes[self._path(self._mine(self._batch))]

    def _check_sizes(self, batch: int, known: dict[str, int]) -> None:
        """Raise DataError for rows of other sizes where a batch could mix them."""
        if batch and not any(n % batch for n in known.values()):
            axes = {tuple(len(row) for row in rows) for rows in self._shapes.values()}
            if len(axes) == 1:
                return
        first = self._shapes[self._paths[0]]
        path = next(p for p in self._paths if self._shapes[p] != first)
        pairs = zip(self._names, self._shapes[path], first, strict=True)
        name, found, expected = next(p for p in pairs if p[1] != p[2])
        raise DataError(
            "the rows have another shape than in the first file",
            where=f"{path}, '{name}'",
            expected=f"{expected} as in {self._paths[0]}",
            found=found,
            remedy="Files of other sizes go together with batch_size: 1" if batch > 1 else "",
        )

    def _check(self, path: str) -> tuple[int, tuple[tuple[int, ...], ...]]:
        """The number of rows and their shapes."""
        with self._open(path) as file:
            shapes = [h5.dataset(file, name).shape for name in self._names]
        for name, shape in zip(self._names, shapes, strict=True):
            where = f"{path}, '{name}'"
            if not shape:
                raise DataError("is a single number, not rows", where=where)
            if shape[0] == 0:
                raise DataError("has no rows", where=where, found=f"shape {shape}")
            if shape[0] != shapes[0][0]:
                raise DataError(
                    "the datasets have different numbers of rows",
                    where=path,
                    expected=f"{shapes[0][0]} in '{name}' as in '{self._names[0]}'",
                    found=shape[0],
                )
        return int(shapes[0][0]), tuple(shape[1:] for shape in shapes)

    def _open(self, path: str) -> AbstractContextManager[h5py.File]:
        if not os.path.exists(path):
            raise DataError(
                f"does not exist, but '{self._source}' lists it",
                where=path,
                remedy="" if os.path.isabs(path) else f"The path is relative to {os.getcwd()}",
                absent=True,
            )
        return h5.open_h5(path, texts=False)

    def origin(self, start: Position, count: int) -> list[str]:
        """Where this process's next `count` rows at a position come from, for messages: "train.h5,
        row 3"."""
        found: list[str] = []
        start = self._after(start, self._rank * count)
        epoch, at, row = start.epoch, start.file, start.row
        while len(found) < count:
            if at == len(self._paths):
                epoch, at = epoch + 1, 0
            file = int(self._permutation(len(self._paths), epoch, 0)[at])
            rows = self._permutation(self._rows[file], epoch, at + 1)[row:][: count - len(found)]
            found += [f"{self._paths[file]}, row {number}" for number in rows]
            at, row = at + 1, 0
        return found

    @property
    def position(self) -> Position:
        """Where the next row comes from; may be set."""
        return self._position

    @position.setter
    def position(self, new: Position) -> None:
        known = new.epoch >= 0 and 0 <= new.file < len(self._paths)
        if known and 0 <= new.row < self._rows[self._file_order(new.epoch)[new.file]]:
            self._position = new
            return
        raise DataError(
            "has changed since the snapshot: the position kept there does not exist",
            where=self._source,
            found=f"file {new.file}, row {new.row}",
            remedy="Put the old training data back, or start again from the weights alone",
        )

    def read(self, out: Sequence[np.ndarray]) -> None:
        """Fill each array, along its axis 0, with the next rows of its dataset."""
        done, batch = 0, len(out[0])
        here = self._mine(batch)
        while done < batch:
            take = self._row_order(here)[here.row : here.row + batch - done]
            arrays = self._load(self._path(here))
            for array, rows in zip(out, arrays, strict=True):
                rows.take(take, axis=0, out=array[done : done + len(take)], mode="clip")
            done += len(take)
            here = self._after(here, len(take))
        self._position = self._after(self._position, self._ranks * batch)

    def _mine(self, batch: int) -> Position:
        """Where this process's next batch begins."""
        return self._after(self._position, self._rank * batch)

    def _after(self, here: Position, count: int) -> Position:
        """The position so many rows further."""
        epoch, file, row = here.epoch, here.file, here.row + count
        while row >= (n := self._rows[self._file_order(epoch)[file]]):
            file, row = file + 1, row - n
            if file == len(self._paths):
                epoch, file = epoch + 1, 0
        return Position(epoch, file, row)

    def _path(self, here: Position) -> str:
        return self._paths[self._file_order(here.epoch)[here.file]]

    def _file_order(self, epoch: int) -> np.ndarray:
        if self._files[0] != epoch:
            self._files = epoch, self._permutation(len(self._paths), epoch, 0)
        return self._files[1]

    def _row_order(self, here: Position) -> np.ndarray:
        start = Position(here.epoch, here.file, 0)
        if self._order is None or self._order[0] != start:
            n = self._rows[self._file_order(here.epoch)[here.file]]
            self._order = start, self._permutation(n, here.epoch, here.file + 1)
        return self._order[1]

    def _permutation(self, n: int, epoch: int, stream: int) -> np.ndarray:
        """stream 0 orders the files of an epoch, stream i + 1 the rows of its i-th file."""
        if not self._shuffle:
            return np.arange(n)
        key = np.array(self._key, dtype=np.uint64)
        counter = np.array([0, 0, stream, epoch], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=counter)).permutation(n)

    def _load(self, path: str) -> list[np.ndarray]:
        if self._loaded[0] != path:
            self._loaded = ("", [])  # never two files in memory
            rows, shapes = self._check(path)  # again: it may have been written anew since
            if rows != self._rows[self._paths.index(path)] or shapes != self._shapes[path]:
                raise DataError("has changed while it was in use", where=path)
            with self._open(path) as file:
                arrays = [h5.read_dataset(file, name, dtype=self._dtype) for name in self._names]
            for name, array in zip(self._names, arrays, strict=True):
                _check_finite(array, f"{path}, '{name}'")
            self._loaded = (path, arrays)
        return self._loaded[1]


def _check_finite(array: np.ndarray, where: str) -> None:
    flat = array.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        finite = np.isfinite(flat[start : start + _CHUNK])
        if not finite.all():
            at = start + int(finite.argmin())
            row, *rest = (int(i) for i in np.unravel_index(at, array.shape))
            raise DataError(
                f"holds a value that {array.dtype} cannot use",
                where=where,
                expected="finite numbers",
                found=f"{flat[at]} in row {row}" + (f" at {tuple(rest)}" if rest else ""),
                remedy="Repair the data (NaN and infinity would spoil every weight)",
            )
