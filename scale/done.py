"""Which tasks of a job are done, in a file beside its results: a byte for each task.

A byte is written when the task's result is there, so whoever is killed in between does a task twice
and never leaves one out.  The one process that hands out the tasks writes; results must not depend
on how often a task is done.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError


class Done:
    """The open file; `left` are the tasks to be done."""

    def __init__(self, number: int, count: int) -> None:
        self._number = number
        self._count = count
        marks = os.pread(number, count, 0).ljust(count, b"\0")
        self.left = [i for i in range(count) if not marks[i]]

    def forget(self) -> None:
        """None is done."""
        os.ftruncate(self._number, 0)
        self.left = list(range(self._count))

    def mark(self, task: int) -> None:
        """The result of this task is there."""
        os.pwrite(self._number, b"\1", task)


@contextmanager
def done(path: Path, count: int) -> Iterator[Done]:
    """The tasks of a job of `count`, none of them done where the file does not exist yet.

    Raises OutputError while another process has them.
    """
    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                "another process is at work on it",
                where=str(path.parent),
                remedy="Wait until it has ended, or end it",
            ) from None
        yield Done(number, count)
    finally:
        os.close(number)
