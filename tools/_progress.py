"""How far a long loop is: a bar with the time left on a terminal, plain lines in a pipe.

    with track(100, "tiles") as advance:        for i in follow(range(100), 100, "tiles"):
        ...; advance()                              ...

Both write to stderr, so that results in a pipe stay clean.  In a pipe a line comes every 5 seconds,
or with every tenth of the work but not more than one a second; short loops say nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

EVERY, AT_MOST = 5.0, 1.0  # seconds between lines


@contextmanager
def track(total: int, label: str) -> Iterator[Callable[[], None]]:
    """Gives a function to be called after each of `total` steps."""
    if sys.stderr.isatty():
        with _bar(total, label) as advance:
            yield advance
    else:
        yield _lines(total, label)


def follow(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """The items, one step each."""
    with track(total, label) as advance:
        for item in items:
            yield item
            advance()


@contextmanager
def _bar(total: int, label: str) -> Iterator[Callable[[], None]]:
    # imported here: rich takes a tenth of a second, and a pipe does not need it
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda: progress.advance(task)


def _lines(total: int, label: str) -> Callable[[], None]:
    began = time.monotonic()
    done, last, said = 0, began, 0

    def advance() -> None:
        nonlocal done, last, said
        done += 1
        now = time.monotonic()
        tenth = 10 * (done - said) >= total
        if now - last < (AT_MOST if tenth else EVERY):
            return
        last, said = now, done
        left = (now - began) * (total - done) / done
        print(f"{label}: {done} of {total}, {left:.0f} s left", file=sys.stderr, flush=True)

    return advance
