"""Many files, of which a bad one does not end the work on the others.

    batch = Batch(paths)
    for path in paths:
        with batch.sparing(path):       # an error of one file is said and kept
            ...
    return batch.end()                  # the table, and the exit code: 1 where a file was refused

A single file is no batch: its error ends the command as any other does, with exit code 2.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import DemitasseError, counted
from ._main import said


@dataclass(frozen=True)
class Done:
    """What became of one file: pages and tiles computed, the seconds it took, and a word on it;
    only: the class of every pixel, where there is one alone."""

    pages: int
    tiles: int
    seconds: float
    result: str
    only: int | None = None


def say_passed_over(patterns: Sequence[str]) -> None:
    """Name, on stderr, the pictures of folders that are not read."""
    from ..imaging import tiff

    for pattern in patterns:
        others = tiff.passed_over(pattern)
        if others:
            said = f"{counted(len(others), 'picture')} left out that "
            said += "are neither .tif nor .png" if others[1:] else "is neither .tif nor .png"
            print(f"{pattern}: {said} ({first_names(others)})", file=sys.stderr)


def first_names(paths: Sequence[Path]) -> str:
    """The names of the first three files, and dots for more."""
    return ", ".join(path.name for path in paths[:3]) + (", ..." if paths[3:] else "")


def say_notes(notes: Mapping[Path, Sequence[str]]) -> None:
    """Say what a user should know about the reading of files, each thing once for all of them."""
    files: dict[str, list[Path]] = {}
    for path, each in notes.items():
        for note in each:
            files.setdefault(note, []).append(path)
    for note, paths in files.items():
        more = f" and {counted(len(paths) - 1, 'more file')}" if paths[1:] else ""
        print(f"note: {paths[0]}{more}: {note}")


class Batch:
    """The files of one command, in their order."""

    def __init__(self, paths: Sequence[Path], ended: str = "done") -> None:
        """ended: what the files are then."""
        self.paths, self.done = paths, dict[Path, Done]()
        self.ended = ended
        self.refused: dict[Path, str] = {}  # in short; the whole paragraph is said at once

    @contextmanager
    def sparing(self, path: Path) -> Iterator[None]:
        """Whatever is wrong with this file is said and kept, unless it is the only one."""
        try:
            yield
        except BrokenPipeError:
            raise
        except Exception as error:  # a fault of ours, too, is that of one file
            if len(self.paths) == 1:
                raise
            self.refused[path] = in_short(error, path)
            print(f"error: {in_full(error, path)}", file=sys.stderr, flush=True)

    @property
    def left(self) -> list[Path]:
        """The files not refused so far."""
        return [path for path in self.paths if path not in self.refused]

    def end(self) -> int:
        """Print the table of several files; the exit code."""
        if len(self.paths) > 1:
            print("\n" + "\n".join(self._table()))
        return 1 if self.refused else 0

    def _table(self) -> Iterator[str]:
        width = max(len("image"), *(len(str(path)) for path in self.paths))
        yield f"{'image'.ljust(width)}  pages   tiles  seconds  result"
        for path in self.paths:
            name, one = str(path).ljust(width), self.done.get(path)
            if one is not None:
                numbers = f"{one.pages:>5}  {one.tiles:>6}  {one.seconds:>7.1f}"
                yield f"{name}  {numbers}  {one.result}"
            elif path in self.refused:
                yield f"{name}  {'-':>5}  {'-':>6}  {'-':>7}  refused: {self.refused[path]}"
        count = f"{len(self.done)} of {len(self.paths)} images {self.ended}"
        bad = ", ".join(str(path) for path in self.refused)
        yield f"{count}; refused: {bad}" if bad else count


def in_short(error: Exception, path: Path) -> str:
    """What is wrong, without what was found and what to do."""
    if not isinstance(error, DemitasseError):
        return in_full(error, path).removeprefix(f"{path}: ")
    text = f"{error.where}: {error.what}".removeprefix(": ").removeprefix(f"{path}: ")
    return text.removeprefix(f"{path}, ")


def in_full(error: Exception, path: Path) -> str:
    """An error of one file in the user's words; one that is no refusal is a fault of ours."""
    if isinstance(error, DemitasseError | MemoryError | OSError):
        return said(error)
    kind = f"{type(error).__name__}: {error}".removesuffix(": ")
    return f"{path}: a fault of demitasse ({kind}). Give this file alone to see where."
