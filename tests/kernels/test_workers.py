"""Threads that share tasks."""

import multiprocessing
import os
import sys
import threading

import pytest
from demitasse.kernels import workers as module
from demitasse.kernels.workers import Workers, single_blas


def doubled(workers, found=None):
    numbers = [0] * 8

    def task(i, slot):
        numbers[i] = 2 * i

    workers.run(task, 8)
    if found is not None:
        found.put(numbers)
    return numbers


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_has_threads_of_its_own():
    """The pool's threads stay in the parent, and so does who limits the BLAS."""
    workers, context = Workers(2), multiprocessing.get_context("fork")
    expected, found = doubled(workers), context.Queue()
    with single_blas():
        child = context.Process(target=doubled, args=(workers, found))
        child.start()
        try:
            assert found.get(timeout=60) == expected == [0, 2, 4, 6, 8, 10, 12, 14]
        finally:
            child.kill()
            child.join()
    assert doubled(workers) == expected


def test_the_first_error_is_raised_when_all_have_ended():
    ended = []

    def task(i, slot):
        if i == 3:
            raise ValueError("three")
        ended.append(i)

    with pytest.raises(ValueError, match="three"):
        Workers(2).run(task, 4)
    assert set(ended) == {0, 1, 2}


CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@pytest.mark.skipif(len(CPUS) < 2, reason="there are no two CPUs to choose from")
def test_threads_keep_off_the_callers_cpu(monkeypatch):
    """Where two of them share one while another idles, a pass takes half as long again."""
    workers, cpu, barrier = Workers(2), CPUS[0], threading.Barrier(2)
    monkeypatch.setattr(module, "_current_cpu", lambda: lambda: cpu)

    def places():
        found = {}

        def task(i, slot):
            barrier.wait(60)  # so that each thread has one
            found[threading.current_thread()] = os.sched_getaffinity(0)

        workers.run(task, 2)
        return found.pop(threading.current_thread()), *found.values()

    places()  # the first one starts the thread
    assert places() == (set(CPUS), set(CPUS) - {cpu})
    cpu = CPUS[1]
    assert places() == (set(CPUS), set(CPUS) - {cpu})
    before = cpu
    cpu = -1  # unknown
    assert places() == (set(CPUS), set(CPUS) - {before})


@pytest.mark.skipif(not CPUS, reason="threads cannot be placed")
def test_threads_that_must_not_be_placed_work_all_the_same(monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    workers = Workers(2)
    assert doubled(workers) == doubled(workers) == [0, 2, 4, 6, 8, 10, 12, 14]
