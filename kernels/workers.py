"""Threads for kernels: a piece of work is cut into tasks, and every thread takes the next one.

    run(task, count)   task(i, slot) for i = 0 ... count - 1; slot < threads belongs to one thread
                       at a time, so it names a part of the scratch

Threads keep off the CPU that the calling thread is on: woken beside it they would wait there for
their turn, for milliseconds, while another one idles.

Inside, the BLAS uses one thread: a product is cut by the tasks, never by the BLAS, so NumPy's
element-wise passes between two products run on all cores too, and results do not depend on how many
threads there are.  The calling thread works, too; one thread means no other.

A kernel is handed a `Room`: the scratch it may use, how large that may be, and the workers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import count as counter
from math import prod
from threading import Lock, get_native_id
from typing import Any

Array = Any
MOST = 4  # threads that the budget is for: cuts, and so results, are alike on all machines


def usable_cpus() -> int:
    """How many CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _current_cpu() -> Callable[[], int]:
    """A function that gives the number of the CPU that the calling thread is on; -1 where threads
    cannot be placed."""
    found = None
    if hasattr(os, "sched_setaffinity"):
        import ctypes

        found = getattr(ctypes.CDLL(None), "sched_getcpu", None)
    return found or (lambda: -1)


class Workers:
    """threads: how many run at once, the caller's included."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._process = 0  # whose threads those of the pool are
        self._numbers: list[int] = []  # of these threads, as the system counts
        self._apart: tuple[int, int] | None = None  # from which CPU they keep off, how many

    def run(self, task: Callable[[int, int], None], count: int) -> None:
        """Do all tasks; when all have ended, the first exception of any of them is raised here."""
        threads = min(self.threads, count)
        with single_blas():
            if threads <= 1:
                for i in range(count):
                    task(i, 0)
            else:
                self._share(task, count, threads)

    def _share(self, task: Callable[[int, int], None], count: int, threads: int) -> None:
        if self._pool is None or self._process != os.getpid():  # a fork has no threads
            self._numbers, self._apart = [], None
            start = partial(_note, self._numbers)
            self._pool = ThreadPoolExecutor(self.threads - 1, "demitasse", start)
            self._process = os.getpid()
        self._keep_off(_current_cpu()())
        numbers = counter()

        def work(slot: int) -> None:
            while (i := next(numbers)) < count:
                task(i, slot)

        others = [  # the context carries NumPy's errstate
            self._pool.submit(copy_context().run, work, slot) for slot in range(1, threads)
        ]
        try:
            work(0)
        finally:
            failed = [error for other in others if (error := other.exception())]
        if failed:
            raise failed[0]

    def _keep_off(self, cpu: int) -> None:
        """Let the other threads run on all CPUs of this process but this one."""
        wanted = cpu, len(self._numbers)
        if cpu < 0 or self._apart == wanted:
            return
        if others := os.sched_getaffinity(0) - {cpu}:
            for number in self._numbers:
                with suppress(OSError):  # the thread has ended, or may not be moved
                    os.sched_setaffinity(number, others)
        self._apart = wanted


def _note(numbers: list[int]) -> None:
    numbers.append(get_native_id())


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


class _Single:
    """Who comes first limits the BLAS, who leaves last frees it: threads come and go in any order,
    and none may find it freed by another."""

    def __init__(self) -> None:
        self.lock, self.inside = Lock(), 0
        self.limit: Any = None

    def enter(self) -> None:
        with self.lock:
            if self.inside == 0:
                self.limit = _blas().limit(limits=1)
            self.inside += 1

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.limit.restore_original_limits()


@cache
def _single() -> _Single:
    return _Single()


if hasattr(os, "register_at_fork"):  # whoever was inside, or held the lock, is not in the child
    os.register_at_fork(after_in_child=_single.cache_clear)


@contextmanager
def single_blas() -> Iterator[None]:
    """The BLAS uses one thread inside."""
    single = _single()
    single.enter()
    try:
        yield
    finally:
        single.leave()


SERIAL = Workers(1)


@dataclass(frozen=True)
class Room:
    """What a kernel may use: elements of scratch (budget), threads, and the scratch itself.

    The budget is for up to MOST threads; each further one takes as much again as one of these.
    """

    budget: int
    workers: Workers = SERIAL
    scratch: Array = None

    @property
    def threads(self) -> int:
        return self.workers.threads

    @property
    def share(self) -> int:
        """Elements of scratch for each thread."""
        return self.budget // MOST

    def slots(self, each: int) -> list[Array]:
        """A part of the scratch for each thread."""
        return [self.scratch[i * each : (i + 1) * each] for i in range(self.threads)]

    def without(self, used: int) -> Room:
        """What is left behind the first `used` elements."""
        rest = None if self.scratch is None else self.scratch[used:]
        return replace(self, budget=self.budget - used, scratch=rest)


class Taker:
    """Gives out parts of a scratch, one after the other."""

    def __init__(self, scratch: Array) -> None:
        self.scratch, self.used = scratch, 0

    def __call__(self, *shape: int) -> Array:
        start, self.used = self.used, self.used + prod(shape)
        return self.scratch[start : self.used].reshape(shape)
