"""Threads that share tasks."""

import multiprocessing
import sys

import pytest
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
