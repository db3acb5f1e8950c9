"""LMDB databases as Caffe keeps them: rows of bytes in the order of their keys.

    records = Records("train_lmdb")         checked, counted, closed again
    records.read(start, 64)                 [(key, value), ...]; after the last row the first again
    with create("train_lmdb") as put:       a folder that appears whole or not at all
        put(b"00000000_cat.png", value)

The library `lmdb` is wanted only here, and only when a database is opened.  It trusts its files, so
a file that was cut off is refused before a row is read.

Raises DataError.  Source: Caffe's src/caffe/util/db_lmdb.cpp, src/caffe/layers/data_layer.cpp.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import DataError, OutputError

BATCH = 1000  # rows written together
_FIRST_SIZE = 64 << 20  # bytes of the memory map to begin with; doubled when they are full
_INSTALL = "Install it: pip install 'demitasse[lmdb]', or pip install lmdb"


def library() -> Any:
    """The module `lmdb`; DataError where it is not installed."""
    try:
        import lmdb
    except ImportError:
        raise DataError("LMDB databases need the Python package lmdb", remedy=_INSTALL) from None
    return lmdb


class Records:
    """The rows of a database, endlessly.  It is open only while rows are read, so any number of
    layers may read the same one."""

    def __init__(self, path: str) -> None:
        self.path = path
        if not os.path.exists(path):
            hint = "" if os.path.isabs(path) else f"The path is relative to {os.getcwd()}"
            raise DataError("does not exist", where=path, remedy=hint, absent=True)
        if os.path.isdir(path) and not os.path.isfile(os.path.join(path, "data.mdb")):
            level = os.path.isfile(os.path.join(path, "CURRENT"))
            raise DataError(
                "is a LevelDB database" if level else "is a folder without a database",
                where=path,
                expected="an LMDB folder, which holds data.mdb",
                remedy="Convert the images to LMDB with tools/convert_imageset.py" if level else "",
            )
        self._next: tuple[int, bytes] | None = None  # position and key of the row to come
        with self._open() as (transaction, _):
            self.count = int(transaction.stat()["entries"])
        if self.count == 0:
            raise DataError("holds no row", where=path)

    @contextmanager
    def _open(self) -> Iterator[tuple[Any, Any]]:
        """A transaction and a cursor of it."""
        lmdb, folder = library(), os.path.isdir(self.path)
        try:
            with lmdb.open(
                self.path, subdir=folder, readonly=True, lock=False, create=False
            ) as environment:
                file = os.path.join(self.path, "data.mdb") if folder else self.path
                pages, size = environment.info()["last_pgno"] + 1, os.path.getsize(file)
                if pages * environment.stat()["psize"] > size:
                    raise DataError(
                        "is cut off",
                        where=file,
                        expected=f"{pages * environment.stat()['psize']} bytes",
                        found=size,
                        remedy="Copy or make the database again",
                    )
                with environment.begin() as transaction:
                    yield transaction, transaction.cursor()
        except lmdb.Error as error:
            raise DataError(f"cannot be read as LMDB ({error})", where=self.path) from error

    def read(self, start: int, count: int) -> list[tuple[bytes, bytes]]:
        """`count` rows from row `start` on, counted without end."""
        with self._open() as (transaction, cursor):
            if transaction.stat()["entries"] != self.count:
                raise DataError("has changed while it was in use", where=self.path)
            self._seek(cursor, start % self.count)
            rows = []
            for _ in range(count):
                rows.append((bytes(cursor.key()), bytes(cursor.value())))
                if not cursor.next():
                    cursor.first()
            self._next = (start + count) % self.count, bytes(cursor.key())
        return rows

    def _seek(self, cursor: Any, row: int) -> None:
        if self._next is not None and self._next[0] == row and cursor.set_key(self._next[1]):
            return
        cursor.first()
        for _ in range(row):
            cursor.next()

    def where(self, key: bytes) -> str:
        """How messages name a row."""
        return f"{self.path}, '{key.decode(errors='backslashreplace')}'"


@contextmanager
def create(path: str) -> Iterator[Callable[[bytes, bytes], None]]:
    """A function that puts a row into a new database; OutputError where the path exists."""
    lmdb = library()
    check_new(path)
    temporary = os.path.join(
        os.path.dirname(path), f".{os.path.basename(path.rstrip('/'))}.{os.getpid()}.tmp"
    )
    waiting: list[tuple[bytes, bytes]] = []
    try:
        os.mkdir(temporary)
        with lmdb.open(temporary, map_size=_FIRST_SIZE) as environment:

            def put(key: bytes, value: bytes) -> None:
                waiting.append((key, value))
                if len(waiting) == BATCH:
                    _commit(lmdb, environment, waiting)

            yield put
            _commit(lmdb, environment, waiting)
        os.rename(temporary, path.rstrip("/"))
    except (lmdb.Error, OSError) as error:
        raise OutputError(f"could not be written ({error})", where=path) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_new(path: str) -> None:
    """Refuse a database that exists already, or whose folder does not: before the work."""
    if os.path.exists(path):
        raise OutputError("exists already", where=path, remedy="Remove it or name another")
    folder = os.path.dirname(path.rstrip("/")) or "."
    if not os.path.isdir(folder):
        raise OutputError("the folder to write into does not exist", where=folder)


def _commit(lmdb: Any, environment: Any, rows: list[tuple[bytes, bytes]]) -> None:
    """Write and forget the rows, with a larger memory map where they do not fit."""
    while True:
        try:
            with environment.begin(write=True) as transaction:
                for key, value in rows:
                    transaction.put(key, value)
            rows.clear()
            return
        except lmdb.MapFullError:
            environment.set_mapsize(2 * environment.info()["map_size"])
